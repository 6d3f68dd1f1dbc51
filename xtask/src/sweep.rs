//! `cargo xtask sweep`: every operator of every tensor function fails once, for every class of fault.

use std::ops::AddAssign;
use std::process::ExitCode;

use crate::problem::{Done, Problem};
use crate::{setup, workspace};

const HELP: &str = "\
Usage: cargo xtask sweep [OPTIONS]

Fails the k-th operator on the simulated device, for every k and every class of fault that is tried again, in four
functions: an actor-critic's gradients, a training step with Adam and batch normalisation, a feature pipeline, and an
accumulator that is written in place. What is left must be, bit for bit, what the CPU leaves, or what was there before.
Then four threads share a network while faults fly. Runs integration-tests/tests/device_sweep.rs and device_threads.rs
with BACKSTOP_SWEEP=whole (Linux only) after preparing libtorch. About a minute; prints what the tests said if one of
them fails, and then, as its last line:

  injected N, survived N, refused N, wrong N

  -h, --help      this text
";

/// Prepares libtorch and runs the whole sweep.
pub fn start(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    match arguments.next()? {
        None => {}
        Some(lexopt::Arg::Short('h') | lexopt::Arg::Long("help")) => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(other) => return Err(other.unexpected().into()),
    }
    setup::ensure()?;
    let (tally, passed) = run()?;
    let Some(tally) = tally else {
        return Err(Problem::new("nothing was swept").help("the simulated device exists on Linux only"));
    };
    println!("{}", tally.line());
    Ok(if passed && tally.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The sum over all functions, `None` where none reported; and whether all tests passed.
fn run() -> Done<(Option<Tally>, bool)> {
    let mut command = workspace::cargo();
    command.args(["test", "--quiet", "--package", "backstop-integration-tests", "--no-fail-fast"]);
    command.args(["--test", "device_sweep", "--test", "device_threads", "--", "--nocapture"]).env("BACKSTOP_SWEEP", "whole");
    eprintln!("failing every operator in turn …");
    let output = command.output().map_err(|error| Problem::new(format!("cannot start cargo: {error}")))?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        eprintln!("{said}{complained}");
    }
    let tally = said.lines().filter_map(Tally::read).reduce(|mut sum, one| {
        sum += one;
        sum
    });
    Ok((tally, output.status.success()))
}

/// How many faults were injected, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    injected: u64,
    survived: u64,
    refused: u64,
    wrong: u64,
}

impl Tally {
    /// The test prints what [`line`](Self::line) does, perhaps behind its own name.
    fn read(line: &str) -> Option<Self> {
        let mut parts = line[line.find("injected ")?..].split(", ");
        let mut number = |name: &str| parts.next()?.strip_prefix(name)?.trim().parse().ok();
        Some(Self { injected: number("injected")?, survived: number("survived")?, refused: number("refused")?, wrong: number("wrong")? })
    }

    fn line(self) -> String {
        let Self { injected, survived, refused, wrong } = self;
        format!("injected {injected}, survived {survived}, refused {refused}, wrong {wrong}")
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.injected += other.injected;
        self.survived += other.survived;
        self.refused += other.refused;
        self.wrong += other.wrong;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Tally;
    use crate::workspace;

    #[test]
    fn a_line_of_the_test_is_read_and_printed_alike() {
        let tally = Tally { injected: 12, survived: 7, refused: 5, wrong: 0 };
        assert_eq!(Tally::read("injected 12, survived 7, refused 5, wrong 0"), Some(tally));
        assert_eq!(Tally::read("test features ... injected 12, survived 7, refused 5, wrong 0"), Some(tally));
        assert_eq!(tally.line(), "injected 12, survived 7, refused 5, wrong 0");
        assert_eq!(Tally::read("test injected ... ok"), None);
    }

    #[test]
    fn the_test_prints_the_line_that_is_read() {
        for test in ["device_sweep", "device_threads"] {
            let path = workspace::root().join(format!("integration-tests/tests/{test}.rs"));
            let test = fs::read_to_string(&path).expect("the sweep can be read");
            assert!(test.contains("\"injected {}, survived {}, refused {}, wrong {}\""), "{}", path.display());
        }
    }
}
