//! `cargo xtask stacks`: threads that are stuck in every way, each captured many times.

use std::process::ExitCode;

use lexopt::prelude::*;

use crate::problem::{Done, Problem};
use crate::{setup, workspace};

const HELP: &str = "\
Usage: cargo xtask stacks [OPTIONS]

Gets threads stuck in every way (asleep, in a lock, spinning, in malloc, in dlopen, panicking, without unwind tables …),
each in a process of its own, and captures their native stacks again and again. Fails unless at least 99.9 % of the
captures show the function that is stuck (99 % of a thread that panics), and if a process crashes, hangs, sees a system
call interrupted, or if capturing takes from the heap. A thread that runs and does not answer within 250 ms was not
captured: have an idle machine. Linux on x86_64 only; one row a situation.

  --captures N    captures of each situation (default 1000; the proof is 10000, about a quarter of an hour)
  --bare          without the situation inside libtorch
  --loaded        the machine is busy: up to 5 % of the captures of a situation may get no answer
  -h, --help      this text

Runs runtime/src/watchdog/stack/linux/proof (optimised, with line tables) and integration-tests/tests/native_stacks.rs.
";

const PROOF: [&str; 7] = ["test", "--release", "--package=backstop", "--lib", "--", "--nocapture", "stack::linux::proof::"];
const LIBTORCH: [&str; 5] = ["test", "--package=backstop-integration-tests", "--test=native_stacks", "--", "--nocapture"];

/// Runs all situations.
pub fn start(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    let (mut captures, mut bare, mut loaded) = (1000_u64, false, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("captures") => captures = arguments.value()?.parse()?,
            Long("bare") => bare = true,
            Long("loaded") => loaded = true,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(Problem::new("native stacks exist on Linux on x86_64 only"));
    }
    let in_rust = run(&PROOF, captures, loaded)?;
    if bare {
        return Ok(in_rust);
    }
    setup::ensure()?;
    let in_libtorch = run(&LIBTORCH, captures, loaded)?;
    Ok(if in_rust == ExitCode::SUCCESS { in_libtorch } else { in_rust })
}

fn run(arguments: &[&str], captures: u64, loaded: bool) -> Done<ExitCode> {
    let mut cargo = workspace::cargo();
    cargo.args(arguments).env("BACKSTOP_STACKS_CAPTURES", captures.to_string());
    if loaded {
        cargo.env("BACKSTOP_STACKS_LOADED", "1");
    }
    // What the documentation recommends for production.
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only");
    let status = workspace::run(&mut cargo)?;
    Ok(workspace::exit_code(status))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{LIBTORCH, PROOF};
    use crate::workspace;

    #[test]
    fn what_is_run_exists() {
        let module = workspace::root().join("runtime/src/watchdog/stack/linux/proof/mod.rs");
        let proof = fs::read_to_string(module).expect("the proof can be read");
        assert!(PROOF[6].ends_with("stack::linux::proof::"));
        for variable in ["BACKSTOP_STACKS_CAPTURES", "BACKSTOP_STACKS_LOADED"] {
            assert!(proof.contains(&format!("\"{variable}\"")), "{variable}");
        }
        let test = LIBTORCH[2].strip_prefix("--test=").expect("a test is named");
        assert!(workspace::root().join(format!("integration-tests/tests/{test}.rs")).exists());
    }
}
