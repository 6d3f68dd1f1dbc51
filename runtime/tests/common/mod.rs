//! What several test files need.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod schema;
pub mod step;

use backstop::{FunctionStats, Outcome};

/// The counters of one function.
pub fn stats(name: &str) -> FunctionStats {
    backstop::stats().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no annotated function is called {name}"))
}

/// How often calls of a function ended this way.
pub fn ended(name: &str, outcome: Outcome) -> u64 {
    stats(name).outcome(outcome)
}

/// Puts policies in force for the rest of this test program; one file holds all policies of a test file.
pub fn install(policies: &str) {
    static INSTALLED: std::sync::OnceLock<backstop::Backstop> = std::sync::OnceLock::new();
    INSTALLED.get_or_init(|| {
        let file = std::env::temp_dir().join(format!("backstop-test-{}.toml", std::process::id()));
        std::fs::write(&file, policies).unwrap();
        let installed = backstop::Builder::new().policies(&file).install();
        installed.unwrap_or_else(|error| panic!("{error}"))
    });
}
