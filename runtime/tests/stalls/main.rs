//! Every kind of stall, for real: a process of its own stalls under small limits, and leaves a report that says what, where and why.
//! Its exit code, the report as JSON and the report as text are checked; the text against a record in which numbers are masked.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]
#![cfg(unix)]

mod child;
#[path = "../common/schema.rs"]
mod schema;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for any machine; nothing here waits that long.
const LONG: Duration = Duration::from_secs(120);

/// What a process that stalled has left.
struct Left {
    status: ExitStatus,
    text: String,
    json: Value,
    /// The last dump, where one was made.
    dump: Option<Value>,
}

/// The other tests run this one, as a process of its own.
#[test]
#[ignore = "stalls"]
fn stalling() {
    let (Ok(kind), Some(folder)) = (std::env::var("STALL"), std::env::var_os("STALL_FOLDER")) else { return };
    let code = child::run(&kind, Path::new(&folder));
    std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
}

/// Runs a stall to its end; the report of this kind that it leaves.
fn stall(name: &str, kind: &str) -> Left {
    stall_until(name, kind, |child, _| child.wait().unwrap())
}

fn stall_until(name: &str, kind: &str, end: impl FnOnce(&mut Child, &Path) -> ExitStatus) -> Left {
    let folder = folder(name);
    let status = end(&mut start(name, &folder), &folder);
    let log = fs::read_to_string(folder.join("log")).unwrap();
    let report = report(&folder, kind).unwrap_or_else(|| panic!("no report of kind {kind}; {status}:\n{log}"));
    let json = parsed(&report);
    schema::check(&schema::incident(), &json, "report").unwrap();
    let text = fs::read_to_string(report).unwrap().replace(folder.to_str().unwrap(), "FOLDER");
    let dump = texts(&folder, "dump-").pop().map(|dump| parsed(&dump));
    fs::remove_dir_all(folder).unwrap();
    Left { status, text, json, dump }
}

/// A new folder for what one process leaves.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("backstop-stall-{name}-{}", std::process::id()));
    fs::create_dir_all(folder.join("reports")).unwrap();
    folder
}

/// Starts the process that stalls; what it prints goes to `log`.
fn start(name: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "stalling", "--ignored", "--nocapture"]).env("STALL", name).env("STALL_FOLDER", folder);
    for variable in ["BACKSTOP_CONFIG", "BACKSTOP_DISABLE", "BACKSTOP_TIMEOUT_SCALE", "BACKSTOP_INJECT"] {
        command.env_remove(variable);
    }
    let log = fs::File::create(folder.join("log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// The first report of a kind.
fn report(folder: &Path, kind: &str) -> Option<PathBuf> {
    texts(folder, "incident-").into_iter().find(|path| parsed(path)["kind"] == kind)
}

/// The texts in the folder for reports whose names begin like this; a text that is there is whole, and so is the JSON beside it.
fn texts(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let reports = fs::read_dir(folder.join("reports")).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<PathBuf> = reports.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    texts.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    texts.sort();
    texts
}

fn parsed(text: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(text.with_extension("json")).unwrap()).unwrap()
}

/// Waits until the process has got that far, or has ended.
fn wait(child: &mut Child, far: impl Fn() -> bool) {
    let began = Instant::now();
    while !far() && child.try_wait().unwrap().is_none() && began.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills a process that hangs for ever.
fn killed(child: &mut Child) -> ExitStatus {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "it hangs for ever");
    status
}

/// Whether the report excuses the body: these limits are short enough for a starved machine to be to blame, which then is the cause.
fn is_excused(left: &Left) -> bool {
    let cause = left.json["cause"].as_str().unwrap();
    ["the host, not the code: ", "the program as a whole, not this body alone: "].iter().any(|excuse| cause.starts_with(excuse))
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

/// The call that the report is about.
fn call(left: &Left) -> &Value {
    let calls = left.json["calls"].as_array().unwrap();
    calls.iter().find(|call| call["id"] == left.json["call"]).unwrap_or_else(|| panic!("the call is not in the tree:\n{}", left.text))
}

/// What every report says, whatever it is about.
fn assert_whole(left: &Left, function: &str) {
    let Left { json, text, .. } = left;
    assert_eq!(json["function"], function, "{text}");
    assert!(json["file"].as_str().unwrap().ends_with("stalls/child.rs") && json["line"].is_u64(), "{text}");
    assert!(json["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{text}");
    assert!(json["policy"].as_str().unwrap().starts_with(&format!("{function}: #[timeout_async] at ")), "{text}");
    assert!(json["functions"].as_array().unwrap().iter().any(|row| row["function"] == function), "{text}");
    let (system, program) = (&json["system"], &json["program"]);
    if cfg!(target_os = "linux") {
        for value in ["cpus", "load", "memory_available_bytes", "open_files", "threads", "cpu_seconds"] {
            assert!(!system[value].is_null(), "{value}: {text}");
        }
        assert!(program["build_id"].as_str().is_some_and(|id| id.len() >= 16), "{text}");
        assert!(program["kernel"].is_string(), "{text}");
    }
    assert!(program["rustc"].as_str().unwrap().starts_with("rustc 1."), "{text}");
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

fn blocks(name: &str) -> Left {
    let left = stall(name, "blocked");
    assert_eq!(left.status.code(), Some(0), "{}", left.text);
    assert_blocked(&left, name);
    assert!(left.json["resolved"].is_string(), "the end is in the report:\n{}", left.text);
    left
}

fn assert_blocked(left: &Left, name: &str) {
    assert_whole(left, &format!("stall.{name}"));
    assert_eq!(left.json["limit_seconds"].as_f64(), Some(0.2));
    assert!(left.json["elapsed_seconds"].as_f64().unwrap() >= 0.2);
    let thread = left.json["thread"].as_str().unwrap();
    assert!(thread.starts_with("worker"), "{}", left.text);
    assert_eq!(call(left)["polling"]["thread"], thread);
}

/// The functions on a thread's stack.
fn functions(thread: &Value) -> impl Iterator<Item = &str> {
    thread["stack"]["frames"].as_array().unwrap().iter().filter_map(|frame| frame["function"].as_str())
}

/// Whether threads waited for a CPU most of the time.
fn starved(system: &Value) -> bool {
    let some = |pressure: &Value| if pressure["resource"] == "cpu" { pressure["some_percent"].as_f64() } else { None };
    let waited = system["pressure"].as_array().unwrap().iter().find_map(some);
    system["load"][0].as_f64() > system["cpus"].as_f64().map(|cpus| 3.0 * cpus) || waited > Some(50.0)
}

/// The thread that the report is about, where stacks can be had. Nobody promises one on a machine that is starved: a thread that runs has to
/// answer itself, and one that sleeps may just wait for a CPU.
fn looked_at(left: &Left) -> Option<&Value> {
    let answered = cfg!(native_stacks) && !starved(&left.json["system"]);
    let thread = &left.json["threads"][0];
    assert!(!answered || thread["subject"] == true, "{}", left.text);
    answered.then_some(thread)
}

/// Its native stack has this function.
fn assert_stack(left: &Left, function: &str) {
    if let Some(thread) = looked_at(left) {
        assert!(functions(thread).any(|name| name.contains(function)), "{}", left.text);
        assert_eq!(thread["stack"]["complete"], true, "{}", left.text);
    }
}

/// It sleeps, in this system call.
fn assert_asleep(left: &Left, system_call: &str) {
    if let Some(thread) = looked_at(left) {
        assert_eq!((&thread["state"], &thread["system_call"]), (&"sleeping".into(), &system_call.into()), "{}", left.text);
    }
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

/// The dump that the process left, which keeps to its schema.
fn dump(left: &Left) -> &Value {
    let dump = left.dump.as_ref().expect("a dump");
    schema::check(&schema::dump(), dump, "dump").unwrap();
    dump
}

/// The functions of the running calls.
fn calls(json: &Value) -> Vec<&str> {
    json["calls"].as_array().unwrap().iter().map(|call| call["function"].as_str().unwrap()).collect()
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

fn assert_stalled_runtime(left: &Left) {
    let Left { json, text, .. } = left;
    assert_eq!((&json["function"], &json["severity"]), (&Value::Null, &"critical".into()), "{text}");
    assert_eq!(json["limit_seconds"].as_f64(), Some(1.0), "{text}");
    let runtime = &json["runtimes"][0];
    assert_eq!((&runtime["name"], &runtime["workers"], &runtime["parked"]), (&"ingest".into(), &2.into(), &0.into()), "{text}");
    assert_eq!(runtime["polls"].as_array().unwrap().len(), 2, "{text}");
    assert!(json["policy"].as_str().unwrap().contains("runtime_stalled_after"), "{text}");
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
