//! `cargo xtask bench`: what a guarded call costs.

use std::process::ExitCode;

use crate::problem::Done;
use crate::{setup, workspace};

const HELP: &str = "\
Usage: cargo xtask bench [guard | device] [ARGUMENTS]

Measures in an optimised build; run it on an idle machine.

  guard           (default) a bare call, the same call in tokio::time::timeout and the same call under #[timeout_async]
                  (runtime/benches/guard.rs). Needs no libtorch.
  device          tensor functions bare and under #[safe_mps_op]: while nothing fails, with `snapshot`, on the CPU, and
                  with a fault in each call (integration-tests/benches/device.rs). Prepares libtorch first; Linux only.
  ARGUMENTS       handed to the benchmark
  -h, --help      this text
";

const GUARD: [&str; 5] = ["bench", "--package", "backstop", "--bench", "guard"];
const DEVICE: [&str; 5] = ["bench", "--package", "backstop-integration-tests", "--bench", "device"];

/// Builds the benchmark with optimisation and runs it.
pub fn start(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    let mut arguments: Vec<_> = arguments.raw_args()?.collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let named = |name: &str| arguments.first().is_some_and(|first| first == name);
    let (bench, is_named) = if named("device") { (DEVICE, true) } else { (GUARD, named("guard")) };
    if is_named {
        arguments.remove(0);
    }
    if bench == DEVICE {
        setup::ensure()?;
    }
    let status = workspace::run(workspace::cargo().args(bench).arg("--").args(arguments))?;
    Ok(workspace::exit_code(status))
}
