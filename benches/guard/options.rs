//! The command line; `cargo xtask bench --help` explains it.

use lexopt::prelude::*;

use crate::{Done, SCENARIOS};

/// What to measure.
pub struct Options {
    /// The scenarios that were named; none means all.
    scenarios: Vec<String>,
    /// How many rounds.
    pub rounds: usize,
}

impl Options {
    /// Whether this scenario was asked for.
    pub fn takes(&self, scenario: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|name| name == scenario)
    }
}

/// What the command line asks for. What is not in the help is what this program runs itself with.
pub enum Task {
    Measure(Options),
    Count { record: bool },
    Calls { scenario: String, variant: String },
    InFlight { variant: String },
    Watchdog,
    Report,
}

/// Reads the command line.
pub fn read() -> Done<Task> {
    let mut arguments = lexopt::Parser::from_env();
    let (mut options, mut counts, mut record) = (Options { scenarios: Vec::new(), rounds: 15 }, false, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("scenario") => options.scenarios.push(known(arguments.value()?.string()?)?),
            Long("rounds") => options.rounds = arguments.value()?.parse::<std::num::NonZero<usize>>()?.get(),
            Long("counts") => counts = true,
            Long("record") => record = true,
            Long("calls") => return Ok(Task::Calls { scenario: arguments.value()?.string()?, variant: arguments.value()?.string()? }),
            Long("one-million") => return Ok(Task::InFlight { variant: arguments.value()?.string()? }),
            Long("watchdog") => return Ok(Task::Watchdog),
            Long("report") => return Ok(Task::Report),
            other => return Err(other.unexpected().into()),
        }
    }
    match (counts, record) {
        (false, true) => Err("--record needs --counts".into()),
        (true, record) => Ok(Task::Count { record }),
        (false, false) => Ok(Task::Measure(options)),
    }
}

fn known(name: String) -> Done<String> {
    if SCENARIOS.iter().any(|scenario| scenario.name == name) {
        return Ok(name);
    }
    let names = SCENARIOS.map(|scenario| scenario.name).join(", ");
    Err(format!("there is no scenario `{name}`; there are {names}").into())
}
