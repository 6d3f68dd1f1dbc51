//! `cargo xtask soak`: minutes of everything at once.

use std::process::ExitCode;

use lexopt::prelude::*;

use crate::problem::{Done, Problem};
use crate::workspace;

const HELP: &str = "\
Usage: cargo xtask soak [OPTIONS]

Calls guarded functions of every kind from two hundred tasks on four workers: limits that pass, callers that go away,
panics, blocked threads, and a policy file that changes all the time. Runs runtime/tests/soak in an optimised build, with
metrics served. Ends with one line, and with a failure if a call is left in the table, if what the callers saw is not what
was counted, or if memory grew after the warm-up:

  soak: N s, ok N, error N, …; memory N MiB, then N MiB; the table is empty and the counts are equal

      --minutes N     how long (10); may be a fraction
  -h, --help          this text
";

const TEST: [&str; 11] =
    ["test", "--quiet", "--release", "--package", "backstop", "--features", "prometheus", "--test", "soak", "--", "--nocapture"];

/// Runs the soak.
pub fn start(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    let mut minutes = 10.0;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("minutes") => minutes = positive(&arguments.value()?.string()?)?,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let seconds = (minutes * 60.0).to_string();
    let status = workspace::run(workspace::cargo().args(TEST).env("BACKSTOP_SOAK_SECONDS", seconds))?;
    Ok(workspace::exit_code(status))
}

fn positive(text: &str) -> Done<f64> {
    let minutes = text.parse().ok().filter(|minutes: &f64| *minutes > 0.0 && minutes.is_finite());
    minutes.ok_or_else(|| Problem::new(format!("`{text}` is no number of minutes")).help("such as `--minutes 10` or `--minutes 0.5`"))
}

#[cfg(test)]
mod tests {
    use super::positive;

    #[test]
    fn minutes_are_a_number_above_zero() {
        assert_eq!(positive("0.5").ok(), Some(0.5));
        for text in ["", "0", "-1", "inf", "ten"] {
            let problem = positive(text).expect_err("no length of a soak").to_string();
            assert!(problem.contains("is no number of minutes"), "{problem}");
        }
    }
}
