//! The demo's command line.

use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use tch::Device;

/// What `--help` prints.
pub const HELP: &str = "\
Usage: demo [OPTIONS]

Runs the trading system under integration-tests/backstop.toml with injected trouble: a stalled quote request, a body that
blocks its thread and, on the simulated device, an unsupported operator and an out-of-memory.

Options:
      --seconds N     how long it lasts, 5 to 86400 (default 60); decisions do not depend on it
      --seed N        the same seed gives the same equity curve and weights (default 7)
      --device NAME   cpu, mps (a Mac's own) or sim-mps (simulated, Linux); the default is the best there is
      --quiet         no live display: only warnings and the final tables
  -h, --help          this text

On a terminal any key lists the running calls as a tree, with how long each has run and what it does: `backstop::snapshot()`.
Ctrl-C stops at the next bar and prints the tables; a second one ends at once. RUST_LOG filters the log.
";

/// Where tensors live in a demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the CPU.
    Cpu,
    /// On a Mac's GPU.
    Mps,
    /// On the simulated device.
    SimMps,
}

impl Place {
    /// The device as libtorch names it.
    #[must_use]
    pub fn device(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Mps | Self::SimMps => Device::Mps,
        }
    }

    fn best() -> Self {
        if cfg!(target_os = "linux") {
            Self::SimMps
        } else if tch::utils::has_mps() {
            Self::Mps
        } else {
            Self::Cpu
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Print the help.
    Help,
    /// Run the demo.
    Run(Arguments),
}

/// How to run the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// How long it lasts.
    pub lasts: Duration,
    /// Decides everything that is drawn.
    pub seed: u64,
    /// Where tensors live.
    pub place: Place,
    /// Whether there is no live display.
    pub quiet: bool,
}

/// Reads the command line.
///
/// # Errors
/// The first argument that is not understood, with what would be.
pub fn parse(mut parser: Parser) -> Result<Command, lexopt::Error> {
    let mut arguments = Arguments { lasts: Duration::from_secs(60), seed: 7, place: Place::best(), quiet: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("seconds") => arguments.lasts = Duration::from_secs(parser.value()?.parse_with(seconds)?),
            Arg::Long("seed") => arguments.seed = parser.value()?.parse()?,
            Arg::Long("device") => arguments.place = parser.value()?.parse_with(place)?,
            Arg::Long("quiet") => arguments.quiet = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Run(arguments))
}

fn seconds(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|seconds| (5..=86_400).contains(seconds)).ok_or("expected whole seconds from 5 to 86400")
}

fn place(text: &str) -> Result<Place, &'static str> {
    match text {
        "cpu" => Ok(Place::Cpu),
        "mps" => Ok(Place::Mps),
        "sim-mps" => Ok(Place::SimMps),
        _ => Err("expected cpu, mps or sim-mps"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Command, String> {
        parse(Parser::from_args(arguments)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_option_is_read() {
        let wanted = Arguments { lasts: Duration::from_secs(9), seed: 3, place: Place::Cpu, quiet: true };
        assert_eq!(read(&["--seconds", "9", "--seed=3", "--device", "cpu", "--quiet"]), Ok(Command::Run(wanted)));
        assert_eq!(read(&["--seed", "3", "-h"]), Ok(Command::Help));
    }

    #[test]
    fn a_wrong_value_says_what_is_expected() {
        assert!(read(&["--device", "gpu"]).unwrap_err().contains("expected cpu, mps or sim-mps"));
        assert!(read(&["--seconds", "0"]).unwrap_err().contains("from 5 to 86400"));
        assert!(read(&["--speed", "2"]).unwrap_err().contains("--speed"));
    }
}
