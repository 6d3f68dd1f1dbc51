//! `cargo xtask test`: everything that must pass before a change is merged, and what `.ci/run` calls.

mod features;
mod steps;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;

use crate::nearest::nearest;
use crate::problem::{Done, Problem};
use crate::{setup, workspace};
use steps::{Call, Step};

const HELP: &str = "\
Usage: cargo xtask test [OPTIONS]

Prepares libtorch, then runs every check in turn and prints how long each took. A failing step does not stop the others;
the command fails if one of them did.

Options:
      --only A,B      these steps only
      --skip A,B      all but these
      --fast          format, lints and the tests of what needs no libtorch: for every save
      --bare          all that works without libtorch; does not look for it
  -h, --help          this text

Steps:
";

/// Which steps run.
#[derive(Default)]
struct Choice {
    only: Option<Vec<String>>,
    skip: Vec<String>,
    bare: bool,
}

/// How a step ended.
struct Ended {
    step: &'static str,
    passed: bool,
    took: Duration,
}

/// Runs the command.
pub fn start(arguments: lexopt::Parser) -> Done<ExitCode> {
    let Some(choice) = parse(arguments)? else {
        print!("{HELP}{}", steps::list());
        return Ok(ExitCode::SUCCESS);
    };
    let mut chosen = steps::all()?;
    chosen.retain(|step| choice.takes(step));
    if chosen.iter().any(|step| step.needs_libtorch) {
        setup::ensure()?;
    }
    if chosen.iter().any(|step| step.name == steps::TESTS_ALERTMANAGER) {
        setup::try_alertmanager();
    }
    let ended = chosen.iter().map(run).collect::<Done<Vec<_>>>()?;
    Ok(report(&ended))
}

fn parse(mut arguments: lexopt::Parser) -> Done<Option<Choice>> {
    let mut choice = Choice::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("only") => choice.only = Some(names(&arguments.value()?.string()?)?),
            Long("skip") => choice.skip.extend(names(&arguments.value()?.string()?)?),
            Long("fast") => choice.only = Some(steps::FAST.map(str::to_owned).to_vec()),
            Long("bare") => choice.bare = true,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(choice))
}

/// The steps in a list with commas; an unknown one is an error that names the nearest.
fn names(list: &str) -> Done<Vec<String>> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| known(name).map(str::to_owned)).collect()
}

fn known(name: &str) -> Done<&str> {
    if steps::NAMES.contains(&name) {
        return Ok(name);
    }
    let near = nearest(name, steps::NAMES).map(|near| format!("did you mean `{near}`?"));
    let help = near.unwrap_or_else(|| format!("the steps are {}", steps::NAMES.join(", ")));
    Err(Problem::new(format!("there is no step `{name}`")).help(help))
}

impl Choice {
    fn takes(&self, step: &Step) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == step.name);
        self.only.as_deref().is_none_or(named) && !named(&self.skip) && !(self.bare && step.needs_libtorch)
    }
}

/// Runs the calls of a step until one fails.
fn run(step: &Step) -> Done<Ended> {
    println!("\n== {}: {}", step.name, step.what);
    let began = Instant::now();
    let mut passed = true;
    for call in &step.calls {
        passed = passed && succeeds(call)?;
    }
    let took = began.elapsed();
    println!("== {}: {} in {}", step.name, if passed { "passed" } else { "FAILED" }, seconds(took));
    Ok(Ended { step: step.name, passed, took })
}

fn succeeds(call: &Call) -> Done<bool> {
    println!("   $ {call}");
    let mut cargo = workspace::cargo();
    cargo.args(&call.arguments).envs(call.environment);
    Ok(workspace::run(&mut cargo)?.success())
}

fn report(ended: &[Ended]) -> ExitCode {
    let total = ended.iter().map(|ended| ended.took).sum();
    println!();
    for Ended { step, passed, took } in ended {
        println!("{step:<10} {:>9}  {}", seconds(*took), if *passed { "passed" } else { "FAILED" });
    }
    let all_passed = ended.iter().all(|ended| ended.passed);
    println!("{:<10} {:>9}  {}", "all", seconds(total), if all_passed { "passed" } else { "FAILED" });
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::{Choice, names, steps};

    fn chosen(choice: &Choice) -> Vec<&'static str> {
        let mut all = steps::all().expect("the manifest of backstop can be read");
        all.retain(|step| choice.takes(step));
        all.iter().map(|step| step.name).collect()
    }

    #[test]
    fn without_options_every_step_runs() {
        assert_eq!(chosen(&Choice::default()), steps::NAMES);
    }

    #[test]
    fn only_and_skip_name_steps() {
        let choice = Choice { only: Some(names("fmt, clippy").expect("known")), skip: names("fmt").expect("known"), bare: false };
        assert_eq!(chosen(&choice), ["clippy"]);
    }

    #[test]
    fn a_bare_machine_runs_nothing_that_needs_libtorch() {
        let choice = Choice { bare: true, ..Choice::default() };
        assert_eq!(chosen(&choice), ["fmt", "clippy", "features", "book", "bare"]);
    }

    #[test]
    fn an_unknown_step_suggests_the_nearest() {
        let problem = names("fmt,clipy").expect_err("`clipy` is no step").to_string();
        assert!(problem.contains("did you mean `clippy`?"), "{problem}");
    }
}
