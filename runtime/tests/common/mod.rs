//! What several test files need.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod log;
pub mod park;
pub mod schema;
pub mod step;

use std::sync::atomic::{AtomicBool, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use backstop::{FunctionStats, IncidentKind, Outcome};

/// The counters of one function.
pub fn stats(name: &str) -> FunctionStats {
    backstop::stats().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no annotated function is called {name}"))
}

/// How often calls of a function ended this way.
pub fn ended(name: &str, outcome: Outcome) -> u64 {
    stats(name).outcome(outcome)
}

/// Incidents that say that the code is wrong.
pub fn alarms() -> Vec<String> {
    let all = backstop::incidents().into_iter();
    all.filter(|incident| incident.kind != IncidentKind::WatchdogLate).map(|incident| incident.to_string()).collect()
}

/// Waits until it is so; a minute is long enough for any machine.
#[track_caller]
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How often findings about a function were held back.
pub fn held_back(function: &str) -> usize {
    backstop::dump().events.iter().filter(|event| event.what == "held_back" && event.function == Some(function)).count()
}

/// Keeps a thread until somebody else lets it go.
pub struct Gate(AtomicBool);

impl Gate {
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Blocks this thread until the gate is open; for two minutes at most, lest a test that fails hangs.
    pub fn pass(&self) {
        let began = Instant::now();
        while !self.0.load(Acquire) && began.elapsed() < Duration::from_secs(120) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn open(&self) {
        self.0.store(true, Release);
    }
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
