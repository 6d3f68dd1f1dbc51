//! What a report says.

use serde_json::Value;

use crate::left::Left;
use crate::schema;

/// Whether the report excuses the body: these limits are short enough for a starved machine to be to blame, which then is the cause.
pub fn is_excused(left: &Left) -> bool {
    let cause = left.json["cause"].as_str().unwrap();
    ["the host, not the code: ", "the program as a whole, not this body alone: "].iter().any(|excuse| cause.starts_with(excuse))
}

/// The call that the report is about.
pub fn call(left: &Left) -> &Value {
    let calls = left.json["calls"].as_array().unwrap();
    calls.iter().find(|call| call["id"] == left.json["call"]).unwrap_or_else(|| panic!("the call is not in the tree:\n{}", left.text))
}

/// What every report says, whatever it is about.
pub fn assert_whole(left: &Left, function: &str) {
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

pub fn assert_blocked(left: &Left, name: &str) {
    assert_whole(left, &format!("stall.{name}"));
    assert_eq!(left.json["limit_seconds"].as_f64(), Some(0.2));
    assert!(left.json["elapsed_seconds"].as_f64().unwrap() >= 0.2);
    let thread = left.json["thread"].as_str().unwrap();
    assert!(thread.starts_with("worker"), "{}", left.text);
    assert_eq!(call(left)["polling"]["thread"], thread);
}

/// The functions on a thread's stack.
pub fn functions(thread: &Value) -> impl Iterator<Item = &str> {
    thread["stack"]["frames"].as_array().unwrap().iter().filter_map(|frame| frame["function"].as_str())
}

/// Whether threads waited for a CPU most of the time.
pub fn starved(system: &Value) -> bool {
    let some = |pressure: &Value| if pressure["resource"] == "cpu" { pressure["some_percent"].as_f64() } else { None };
    let waited = system["pressure"].as_array().unwrap().iter().find_map(some);
    system["load"][0].as_f64() > system["cpus"].as_f64().map(|cpus| 3.0 * cpus) || waited > Some(50.0)
}

/// The thread that the report is about, where stacks can be had. Nobody promises one on a machine that is starved: a thread that runs has to
/// answer itself, and one that sleeps may just wait for a CPU.
pub fn looked_at(left: &Left) -> Option<&Value> {
    let answered = cfg!(native_stacks) && !starved(&left.json["system"]);
    let thread = &left.json["threads"][0];
    assert!(!answered || thread["subject"] == true, "{}", left.text);
    answered.then_some(thread)
}

/// Its native stack has this function.
pub fn assert_stack(left: &Left, function: &str) {
    if let Some(thread) = looked_at(left) {
        assert!(functions(thread).any(|name| name.contains(function)), "{}", left.text);
        assert_eq!(thread["stack"]["complete"], true, "{}", left.text);
    }
}

/// It sleeps, in this system call.
pub fn assert_asleep(left: &Left, system_call: &str) {
    if let Some(thread) = looked_at(left) {
        assert_eq!((&thread["state"], &thread["system_call"]), (&"sleeping".into(), &system_call.into()), "{}", left.text);
    }
}

/// The dump that the process left, which keeps to its schema.
pub fn dump(left: &Left) -> &Value {
    let dump = left.dump.as_ref().expect("a dump");
    schema::check(&schema::dump(), dump, "dump").unwrap();
    dump
}

/// The functions of the running calls.
pub fn calls(json: &Value) -> Vec<&str> {
    json["calls"].as_array().unwrap().iter().map(|call| call["function"].as_str().unwrap()).collect()
}

pub fn assert_stalled_runtime(left: &Left) {
    let Left { json, text, .. } = left;
    assert_eq!((&json["function"], &json["severity"]), (&Value::Null, &"critical".into()), "{text}");
    assert_eq!(json["limit_seconds"].as_f64(), Some(1.0), "{text}");
    let runtime = &json["runtimes"][0];
    assert_eq!((&runtime["name"], &runtime["workers"], &runtime["parked"]), (&"ingest".into(), &2.into(), &0.into()), "{text}");
    assert_eq!(runtime["polls"].as_array().unwrap().len(), 2, "{text}");
    assert!(json["policy"].as_str().unwrap().contains("runtime_stalled_after"), "{text}");
}
