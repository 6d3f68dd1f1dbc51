//! `cargo xtask demo`: the trading system with injected trouble.

use std::process::ExitCode;

use crate::problem::Done;
use crate::{setup, workspace};

const HELP: &str = "\
Usage: cargo xtask demo [OPTIONS]

Runs the trading system of integration-tests/ under its backstop.toml: real market data over a local HTTP server, real
training, and injected trouble (a stalled request, a blocked thread, an unsupported operator, a device out of memory).
Prepares libtorch first. About a minute.

Options, handed to the demo:
      --seconds N     how long it trades
      --seed N        the same seed gives the same equity curve
      --device NAME   cpu, mps (a Mac's own) or sim-mps (simulated, Linux)
      --quiet         no live display
  -h, --help          this text
";

/// Prepares libtorch, builds the demo and runs it.
pub fn start(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    let arguments: Vec<_> = arguments.raw_args()?.collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    setup::ensure()?;
    let demo = ["run", "--quiet", "--package", "backstop-integration-tests", "--bin", "demo", "--"];
    let status = workspace::run(workspace::cargo().args(demo).args(arguments))?;
    Ok(workspace::exit_code(status))
}
