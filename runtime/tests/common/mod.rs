//! What several test files need.
#![allow(dead_code, reason = "each test file uses a part of it")]

use backstop::{FunctionStats, Outcome};

/// The counters of one function.
pub fn stats(name: &str) -> FunctionStats {
    backstop::stats().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no annotated function is called {name}"))
}

/// How often calls of a function ended this way.
pub fn ended(name: &str, outcome: Outcome) -> u64 {
    stats(name).outcome(outcome)
}
