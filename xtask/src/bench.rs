//! `cargo xtask bench`: what a guarded call costs.

use std::process::ExitCode;

use crate::problem::Done;
use crate::{setup, workspace};

const HELP: &str = "\
Usage: cargo xtask bench [guard | device] [ARGUMENTS]

Measures in an optimised build; run it on an idle machine with two free cores.

  guard           (default) a guarded call beside what else one could write (benches/guard). Needs no libtorch.
  device          tensor functions bare and under #[safe_mps_op]: while nothing fails, with `snapshot`, on the CPU, and
                  with a fault in each call, with the instructions beside where valgrind is installed
                  (integration-tests/benches/device.rs). Prepares libtorch first; Linux only.
  -h, --help      this text

`guard` runs, side by side in one process and in rounds that take each in turn: a bare call; the same call under
tokio::time::timeout; under pingora-timeout (its own wheel, and tokio's timer made when it is needed); under tower's
Timeout; under #[tracing::instrument] without a subscriber; with the same features written by hand (tokio's timeout, a map
of running calls, metrics macros); and under #[timeout_async]. One table: the overhead over the bare call as a ratio to
tokio's, or figures with their unit, and the goal beside. Its arguments:

      --scenario NAME   this family of rows only; may be given several times: ready, pending-once, pending-ten, nested,
                        ping-pong, contention, in-flight, deadlines, watchdog, report
      --rounds N        measured rounds (15); the costly families take a third of them
      --counts          instead: the instructions of one call (ready, pending once, pending ten times), counted by
                        valgrind, against the ceilings in benches/guard/ceilings.txt; fails above one. What the kernel
                        does is not counted, nor, under valgrind, the reading of a clock.
      --record          with --counts: what was counted, and 2 % more, becomes the new ceilings

The arguments of `device`:

      --row NAME        this row only; may be given several times: empty-cpu, empty-device, empty-snapshot, cpu, device,
                        snapshot, routed, routed-copies, failing, module
      --rounds N        measured rounds (101); the module takes a third of them
      --counts          instead: the instructions that the attribute adds to a call, counted by valgrind, against the
                        ceilings in integration-tests/benches/device/ceilings.txt; fails above one
      --record          with --counts and all rows: what was counted, and 2 % more, becomes the new ceilings
";

const GUARD: &[&str] = &["run", "--release", "--package", "backstop-benches", "--bin", "bench-guard"];
const DEVICE: &[&str] = &["bench", "--package", "backstop-integration-tests", "--bench", "device"];

/// The allocator keeps its memory, on both sides of every row: what it gives back to the system and takes again would cost more than is measured.
const KEEPING_MEMORY: [(&str, &str); 2] = [("MALLOC_TRIM_THRESHOLD_", "1073741824"), ("MALLOC_MMAP_THRESHOLD_", "1073741824")];

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
    let mut command = workspace::cargo();
    if bench == DEVICE {
        setup::ensure()?;
        command.envs(KEEPING_MEMORY);
    }
    let status = workspace::run(command.args(bench).arg("--").args(arguments))?;
    Ok(workspace::exit_code(status))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::HELP;
    use crate::workspace;

    #[test]
    fn the_help_names_every_scenario() {
        let names = named_in("benches/guard/main.rs", "Scenario { name: \"");
        assert!(names.len() > 5, "{names:?}");
        assert_helped(&names);
    }

    #[test]
    fn the_help_names_every_row() {
        let rows = "integration-tests/benches/device/rows.rs";
        let names: Vec<String> = ["row(\"", "name: \""].into_iter().flat_map(|before| named_in(rows, before)).collect();
        assert!(names.len() > 8, "{names:?}");
        assert_helped(&names);
    }

    fn named_in(path: &str, before: &str) -> Vec<String> {
        let text = fs::read_to_string(workspace::root().join(path)).expect("the benchmark can be read");
        text.split(before).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
    }

    fn assert_helped(names: &[String]) {
        for name in names {
            assert!(HELP.contains(&format!("{name},")) || HELP.contains(&format!("{name}\n")), "{name}");
        }
    }
}
