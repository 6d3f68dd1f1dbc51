//! `cargo xtask bench`: what a guarded call costs.

use std::process::ExitCode;

use crate::problem::Done;
use crate::workspace;

const HELP: &str = "\
Usage: cargo xtask bench [ARGUMENTS]

Measures a bare call, the same call in tokio::time::timeout and the same call under #[timeout_async], in an optimised
build of `backstop` (runtime/benches/guard.rs). Needs no libtorch. Run it on an idle machine.

  ARGUMENTS       handed to the benchmark
  -h, --help      this text
";

/// Builds the benchmark with optimisation and runs it.
pub fn start(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    let arguments: Vec<_> = arguments.raw_args()?.collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let bench = ["bench", "--package", "backstop", "--bench", "guard", "--"];
    let status = workspace::run(workspace::cargo().args(bench).args(arguments))?;
    Ok(workspace::exit_code(status))
}
