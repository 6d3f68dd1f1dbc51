//! The command line; `cargo xtask bench --help` explains it.

use lexopt::prelude::*;

use crate::Done;

/// The rows that there are.
const ROWS: [&str; 10] =
    ["empty-cpu", "empty-device", "empty-snapshot", "cpu", "device", "snapshot", "routed", "routed-copies", "failing", "module"];

/// What to do, and with which rows.
pub struct Options {
    /// The rows that were named; none means all.
    rows: Vec<String>,
    /// How many rounds.
    pub rounds: usize,
    /// Compares instructions with the ceilings.
    pub counts: bool,
    /// Writes the ceilings.
    pub record: bool,
}

impl Options {
    /// Whether this row was asked for.
    pub fn takes(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|name| name == row)
    }

    /// The same, with no rows but these.
    pub fn within(&self, rows: &[&str]) -> Self {
        let rows = rows.iter().filter(|row| self.takes(row)).map(ToString::to_string).collect();
        Self { rows, ..*self }
    }

    /// What the same program is told, in order to take the same rows.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().flat_map(|row| ["--row", row])
    }
}

/// Reads the command line.
pub fn read() -> Done<Options> {
    let mut arguments = lexopt::Parser::from_env();
    let mut options = Options { rows: Vec::new(), rounds: 101, counts: false, record: false };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("row") => options.rows.push(known(arguments.value()?.string()?)?),
            Long("rounds") => options.rounds = arguments.value()?.parse::<std::num::NonZero<usize>>()?.get(),
            Long("counts") => options.counts = true,
            Long("record") => options.record = true,
            // Cargo's own.
            Long("bench") => {}
            other => return Err(other.unexpected().into()),
        }
    }
    if options.record && (!options.counts || !options.rows.is_empty()) {
        return Err("--record needs --counts, and all rows".into());
    }
    Ok(options)
}

fn known(row: String) -> Done<String> {
    if ROWS.contains(&row.as_str()) { Ok(row) } else { Err(format!("there is no row `{row}`, but {}", ROWS.join(", ")).into()) }
}
