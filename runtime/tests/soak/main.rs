//! Everything at once, at random, on several workers: limits that pass, callers that go away, panics, blocked threads, reloads. What the
//! callers saw must be what was counted, nobody may be left in the table, and memory must stay flat.
//!
//! `cargo xtask soak` runs it for minutes; as a test it takes two seconds.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]

mod books;
#[path = "../common/mod.rs"]
mod common;
mod functions;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use backstop::Outcome;
use books::NAMES;
use functions::{a_while, one};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

/// How many tasks call, again and again.
const CALLERS: u64 = 200;
/// What a run must reach before its memory says something.
const LONG: Duration = Duration::from_secs(60);

async fn caller(until: Instant) {
    while Instant::now() < until {
        match fastrand::u32(0..10) {
            0..5 => drop(tokio::spawn(one()).await),
            5..8 => drop(tokio::spawn(timeout(a_while(), one())).await),
            _ => {
                let task = tokio::spawn(one());
                sleep(a_while()).await;
                task.abort();
                drop(task.await);
            }
        }
    }
}

fn policies() -> PathBuf {
    std::env::temp_dir().join(format!("backstop-soak-{}.toml", std::process::id()))
}

/// Another random policy file.
fn write_policies(broken: bool) {
    let millis = || fastrand::u32(1..9);
    let (late, timeout) = (["value", "error"][fastrand::usize(0..2)], millis());
    let broken = if broken { "retry = \"often\"" } else { "" };
    let text = format!(
        "[defaults]\nwarn_at = 0.5\non_late = \"{late}\"\n{broken}\n\
         [functions.\"soak.waits\"]\ntimeout = \"{timeout}ms\"\n\
         [functions.\"soak.tidies\"]\ngrace = \"{}ms\"\n\
         [functions.\"soak.tries_again\"]\ntotal = \"200ms\"\nretry = {{ initial = \"{}ms\" }}\n\
         [functions.\"soak.blocks\"]\non_timeout = \"{}\"\n\
         [functions.\"soak.let_in\"]\nconcurrency = {}\nrate_limit = {{ permits = 5, per = \"10ms\", wait = \"1ms\" }}\n\
         breaker = {{ failures = 20, window = \"1s\", open = \"50ms\" }}\n",
        millis(),
        millis(),
        ["cancel", "warn"][fastrand::usize(0..2)],
        fastrand::u32(1..20),
    );
    let beside = policies().with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, policies()).unwrap();
}

fn install() -> backstop::Backstop {
    write_policies(false);
    let builder = backstop::Builder::new().policies(policies());
    #[cfg(feature = "prometheus")]
    let builder = builder.prometheus("127.0.0.1:0");
    builder.install().unwrap_or_else(|error| panic!("{error}"))
}

/// Resident memory in MiB; `None` where there is no `/proc`.
fn memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
}

/// Memory in the fourth and in the last tenth of the run: by then everything has been at its most once.
async fn watch(length: Duration) -> Option<(f64, f64)> {
    let mut samples = Vec::new();
    for _ in 0..100 {
        write_policies(fastrand::u32(0..5) == 0);
        sleep(length / 100).await;
        samples.push(memory()?);
    }
    let median = |samples: &mut [f64]| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    };
    Some((median(&mut samples[30..40]), median(&mut samples[90..])))
}

fn run(length: Duration) -> Option<(f64, f64)> {
    let _backstop = install();
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let memory = runtime.block_on(async {
        let until = Instant::now() + length;
        let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(caller(until))).collect();
        let memory = watch(length).await;
        for caller in callers {
            caller.await.unwrap();
        }
        memory
    });
    // Tasks that a call had spawned are dropped with their runtime, if not before.
    drop(runtime);
    let _ = fs::remove_file(policies());
    memory
}

fn length() -> Duration {
    let seconds = std::env::var("BACKSTOP_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(2.0))
}

#[test]
fn a_few_seconds_of_everything_at_once_leave_nothing_behind() {
    let length = length();
    let memory = run(length);
    let left = backstop::snapshot();
    assert!(left.calls.is_empty(), "{left}");
    let mut line = format!("soak: {} s", length.as_secs());
    for outcome in Outcome::ALL {
        let count: u64 = NAMES.iter().map(|name| common::ended(name, outcome)).sum();
        line += &format!(", {} {count}", outcome.as_str());
        assert!(count > 0, "there was no {}", outcome.as_str());
    }
    books::agree();
    if let Some((before, after)) = memory {
        line += &format!("; memory {before:.1} MiB, then {after:.1} MiB");
        assert!(length < LONG || after <= before * 1.05 + 4.0, "memory grew from {before:.1} to {after:.1} MiB");
    }
    println!("{line}; the table is empty and the counts are equal");
}
