//! What several test files need.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod park;
pub mod schema;
pub mod step;

use std::thread;
use std::time::{Duration, Instant};

use backstop::{FunctionStats, Outcome};

/// The counters of one function.
pub fn stats(name: &str) -> FunctionStats {
    backstop::stats().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no annotated function is called {name}"))
}

/// How often calls of a function ended this way.
pub fn ended(name: &str, outcome: Outcome) -> u64 {
    stats(name).outcome(outcome)
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

/// Tests that need a process of their own: they stall a runtime, stop or end the process, or install policies that no other test may see.
pub mod child {
    use std::env;
    use std::process::{Child, Command, Output, Stdio};

    const CHILD: &str = "BACKSTOP_TEST_CHILD";

    /// Runs `body` in a process of its own, which is this test program again with the one test of this name.
    #[track_caller]
    pub fn alone(test: &str, body: impl FnOnce()) {
        if is(test) {
            return body();
        }
        let output = start(test).wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{}", output.status, told(&output));
    }

    /// Whether this is that process.
    pub fn is(test: &str) -> bool {
        env::var_os(CHILD).is_some_and(|child| *child == *test)
    }

    /// Starts that process.
    pub fn start(test: &str) -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, test);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What it said.
    pub fn told(output: &Output) -> String {
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}
