//! Every kind of stall, for real: a process of its own stalls under small limits, and leaves a report that says what, where and why.
//! Its exit code, the report as JSON and the report as text are checked; the text against a record in which numbers are masked.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]
#![cfg(unix)]

mod child;
mod left;
mod says;
#[path = "../common/schema.rs"]
mod schema;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use left::{folder, killed, parsed, report, stall, stall_until, start, texts, wait};
use says::{assert_asleep, assert_blocked, assert_stack, assert_stalled_runtime, assert_whole, call, calls, dump, functions, is_excused};
use serde_json::Value;

/// The other tests run this one, as a process of its own.
#[test]
#[ignore = "stalls"]
fn stalling() {
    let (Ok(kind), Some(folder)) = (std::env::var("STALL"), std::env::var_os("STALL_FOLDER")) else { return };
    let code = child::run(&kind, Path::new(&folder));
    std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
}

/// Compares the head of a report and its running calls with the record, numbers masked.
macro_rules! assert_recorded {
    ($left:expr) => {
        if !is_excused(&$left) {
            insta::with_settings!({
                filters => vec![
                    // What the machine is to blame for is not the code's.
                    (r"; the host is starved [^\n]*", ""),
                    // The place in the code is another test's.
                    (r"; the thread (is|computes) [^\n]*", ""),
                    (r"\n  blame    (code|host|unknown): [^\n]*", "\n  blame    WHO: WHY"),
                    (r"\d{4}-\d\d-\d\dT[0-9:.]*Z", "TIME"),
                    (r"\d+(\.\d+)? ?(ns|µs|ms|s|m|h)\b( \d+(ns|µs|ms|s|m)\b)*", "DURATION"),
                    (r"\d+", "N"),
                ],
                omit_expression => true,
            }, { insta::assert_snapshot!($left.text.split("\n\n").take(2).collect::<Vec<_>>().join("\n\n")) })
        }
    };
}

#[test]
fn a_call_that_waits_for_ever() {
    let left = stall("waits", "limit");
    assert_eq!(left.status.code(), Some(1), "{}", left.text);
    assert_whole(&left, "stall.waits");
    assert_eq!((left.json["limit_seconds"].as_f64(), &left.json["severity"]), (Some(0.3), &"error".into()));
    assert!(left.json["set_by"].as_str().unwrap().starts_with("attribute at "));
    let current: Vec<&Value> = left.json["calls"].as_array().unwrap().iter().filter(|call| call["current"] == true).collect();
    assert_eq!(current.iter().map(|call| &call["function"]).collect::<Vec<_>>(), ["stall.innermost"]);
    assert_recorded!(left);
}

#[test]
fn a_loop_that_falls_silent() {
    let left = stall("idle", "idle");
    assert_eq!(left.status.code(), Some(1), "{}", left.text);
    assert_whole(&left, "stall.idle");
    assert_eq!(call(&left)["beat"]["progress"], "item 2 of 9");
    assert_recorded!(left);
}

#[test]
fn a_call_whose_attempts_use_up_its_time() {
    let left = stall("total", "total");
    assert_eq!(left.status.code(), Some(1), "{}", left.text);
    assert_whole(&left, "stall.total");
    assert!(left.json["set_by"].as_str().unwrap().contains("backstop.toml:6"), "{}", left.text);
    let events = left.json["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["what"] == "retrying" && event["function"] == "stall.total"), "{}", left.text);
    let dump = dump(&left);
    assert_eq!(dump["reason"], "the program ends");
    let finished = |event: &&Value| event["what"] == "finished" && event["function"] == "stall.total" && event["detail"] == "timeout";
    assert_eq!(dump["events"].as_array().unwrap().iter().filter(finished).count(), 1, "{dump}");
    assert_recorded!(left);
}

fn blocks(name: &str) -> left::Left {
    let left = stall(name, "blocked");
    assert_eq!(left.status.code(), Some(0), "{}", left.text);
    assert_blocked(&left, name);
    assert!(left.json["resolved"].is_string(), "the end is in the report:\n{}", left.text);
    left
}

#[test]
fn a_body_that_sleeps_on_its_thread() {
    let left = blocks("sleeps");
    assert_stack(&left, "std::thread");
    assert_stack(&left, "child::");
    assert_asleep(&left, "clock_nanosleep");
    assert_recorded!(left);
}

#[test]
fn a_body_that_spins() {
    let left = blocks("spins");
    assert_stack(&left, "child::");
    assert_recorded!(left);
}

#[test]
fn a_deadlock_is_reported_while_it_lasts() {
    let left = stall_until("deadlock", "blocked", |child, folder| {
        wait(child, || report(folder, "blocked").is_some());
        // The stack is added to the report when it is known.
        let began = Instant::now();
        let whole = |report: PathBuf| !parsed(&report)["threads"].as_array().unwrap().is_empty();
        wait(child, || began.elapsed() > child::STACKS || report(folder, "blocked").is_some_and(whole));
        killed(child)
    });
    assert_blocked(&left, "deadlock");
    assert_asleep(&left, "futex");
    assert!(left.json["resolved"].is_null(), "{}", left.text);
    assert_recorded!(left);
}

#[test]
fn a_body_that_outlives_its_caller() {
    let left = stall("orphan", "orphan");
    assert_eq!(left.status.code(), Some(1), "{}", left.text);
    assert_whole(&left, "stall.orphan");
    assert!(left.json["resolved"].is_string(), "the end is in the report:\n{}", left.text);
    let calls = left.json["calls"].as_array().unwrap();
    let orphan = calls.iter().find(|call| call["function"] == "stall.orphan" && call["detached"] == true);
    assert!(orphan.is_some_and(|call| call["polling"].is_object()), "{}", left.text);
    assert_stack(&left, "child::");
    assert_recorded!(left);
}

#[test]
fn a_body_that_comes_back_late() {
    let left = stall("late", "limit");
    assert_eq!(left.status.code(), Some(0), "the value is what the caller gets:\n{}", left.text);
    assert_whole(&left, "stall.late");
    let cause = left.json["cause"].as_str().unwrap();
    assert!(is_excused(&left) || cause.contains("has not given its thread"), "{}", left.text);
    assert_recorded!(left);
}

#[test]
fn a_body_that_panics() {
    let left = stall("panics", "panicked");
    assert_eq!(left.status.code(), Some(101), "{}", left.text);
    assert_whole(&left, "stall.panics");
    assert_recorded!(left);
    let dump = dump(&left);
    assert!(dump["reason"].as_str().unwrap().starts_with("panic at runtime/tests/stalls/child.rs:"), "{dump}");
    assert!(calls(dump).contains(&"stall.panics"), "it is made before the panic goes on: {dump}");
}

#[test]
fn a_program_that_hangs_tells_on_a_signal_what_it_does() {
    let folder = folder("signal");
    let mut child = start("signal", &folder);
    wait(&mut child, || fs::read_to_string(folder.join("log")).unwrap().contains("hanging"));
    let signal = ["-USR1".to_owned(), child.id().to_string()];
    assert!(Command::new("kill").args(signal).status().unwrap().success());
    wait(&mut child, || !texts(&folder, "dump-").is_empty());
    killed(&mut child);
    let dump = parsed(&texts(&folder, "dump-")[0]);
    schema::check(&schema::dump(), &dump, "dump").unwrap();
    assert_eq!(dump["reason"], format!("signal {}", child::SIGUSR1));
    assert_eq!(calls(&dump), ["stall.hangs"]);
    if cfg!(native_stacks) {
        let threads = dump["threads"].as_array().unwrap();
        assert!(threads.iter().any(|thread| thread["name"] == "worker" && functions(thread).count() > 0), "{dump}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_runtime_whose_workers_are_all_blocked() {
    let left = stall("runtime", "runtime_stalled");
    assert_eq!(left.status.code(), Some(0), "{}", left.text);
    assert_stalled_runtime(&left);
    assert!(left.json["resolved"].is_string(), "the end is in the report:\n{}", left.text);
    assert_recorded!(left);
}

#[test]
fn a_process_that_ends_itself_because_its_runtime_is_dead() {
    let left = stall("abort", "runtime_stalled");
    assert_eq!(left.status.signal(), Some(6), "{}", left.text);
    assert_stalled_runtime(&left);
    assert_recorded!(left);
}
