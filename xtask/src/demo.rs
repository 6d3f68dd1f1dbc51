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
      --seconds N     how long it lasts, 5 to 86400 (default 60); decisions do not depend on it
      --seed N        the same seed gives the same equity curve and weights (default 7)
      --device NAME   cpu, mps (a Mac's own) or sim-mps (simulated, Linux); the default is the best there is
      --quiet         no live display: only warnings and the final tables
  -h, --help          this text

On a terminal any key lists the running calls as a tree, with how long each has run and what it does: `backstop::snapshot()`.
Ctrl-C stops at the next bar and prints the tables; a second one ends at once. RUST_LOG filters the log.
";

/// Prepares libtorch, builds the demo and runs it.
pub fn start(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    let arguments: Vec<_> = arguments.raw_args()?.collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    setup::ensure()?;
    let demo = ["run", "--package", "backstop-integration-tests", "--bin", "demo", "--"];
    let status = workspace::run(workspace::cargo().args(demo).args(arguments))?;
    Ok(workspace::exit_code(status))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::HELP;
    use crate::workspace;

    /// The lines of a help text that describe options.
    fn options(text: &str) -> Vec<&str> {
        text.lines().map(str::trim).filter(|line| line.starts_with("--")).collect()
    }

    #[test]
    fn the_help_lists_the_options_of_the_demo_itself() {
        let path = workspace::root().join("integration-tests/src/demo/arguments.rs");
        let demo = fs::read_to_string(&path).expect("the demo's arguments can be read");
        assert_eq!(options(HELP), options(&demo));
        assert!(options(HELP).len() >= 4);
    }
}
