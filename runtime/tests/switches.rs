//! The environment's switches. They are read once, so each is tried in a process of its own: this test program runs itself again.

use std::io;
use std::process::Command;
use std::time::Duration;

use backstop::{TimeoutError, timeout_async};

#[timeout_async(millis = 100, name = "switches.hangs", fallback = instead)]
async fn hangs(length: Duration) -> io::Result<&'static str> {
    tokio::time::sleep(length).await;
    if length == Duration::from_millis(401) { Err(io::Error::other("no quote")) } else { Ok("the body") }
}

async fn instead(_: Duration, _: io::Error) -> io::Result<&'static str> {
    Ok("the fallback")
}

#[timeout_async(millis = 100, name = "switches.guarded")]
async fn guarded() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 60, isolate, name = "switches.isolated")]
async fn isolated() -> io::Result<tokio::task::Id> {
    Ok(tokio::task::id())
}

/// What the functions do under the switches of this process, for the tests below.
#[tokio::test]
#[ignore = "run by the other tests, with switches"]
async fn probe() {
    println!("probe: {}", hangs(Duration::from_millis(400)).await.unwrap());
    println!("probe: {}", hangs(Duration::from_millis(401)).await.unwrap_or("the error"));
    let guarded = tokio::time::timeout(Duration::from_secs(2), guarded()).await;
    let limit = guarded.ok().and_then(|result| result.unwrap_err().downcast::<TimeoutError>().ok());
    let own = tokio::spawn(async { isolated().await.unwrap() != tokio::task::id() }).await.unwrap();
    assert!(own, "an isolated body is a task of its own, whatever is switched off");
    println!("probe: {}", limit.map_or("no limit".to_owned(), |error| humantime::format_duration(error.limit()).to_string()));
}

/// What the probe says under these switches, and what it writes to its standard error.
fn probed(switches: &[(&str, &str)]) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "probe", "--ignored", "--nocapture"]).envs(switches.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter_map(|line| line.split_once("probe: ").map(|(_, rest)| rest.to_owned())).collect()
}

#[test]
fn without_a_switch_limits_and_fallbacks_hold() {
    assert_eq!(probed(&[]), ["the fallback", "the fallback", "100ms"]);
}

#[test]
fn one_switches_every_guard_off_and_leaves_fallbacks_on() {
    assert_eq!(probed(&[("BACKSTOP_DISABLE", "1")]), ["the body", "the fallback", "no limit"]);
}

#[test]
fn all_switches_fallbacks_off_too() {
    assert_eq!(probed(&[("BACKSTOP_DISABLE", "all")]), ["the body", "the error", "no limit"]);
}

#[test]
fn a_list_switches_off_what_it_names() {
    assert_eq!(probed(&[("BACKSTOP_DISABLE", "switches.h*")]), ["the body", "the fallback", "100ms"]);
}

#[test]
fn a_function_that_the_file_enables_by_name_stays_guarded() {
    let file = std::env::temp_dir().join(format!("backstop-switches-{}.toml", std::process::id()));
    std::fs::write(&file, "[functions.\"switches.guarded\"]\nenabled = true\n").unwrap();
    let said = probed(&[("BACKSTOP_DISABLE", "1"), ("BACKSTOP_CONFIG", file.to_str().unwrap())]);
    let _ = std::fs::remove_file(&file);
    assert_eq!(said, ["the body", "the fallback", "100ms"]);
}

#[test]
fn a_scale_stretches_every_limit() {
    assert_eq!(probed(&[("BACKSTOP_TIMEOUT_SCALE", "5")]), ["the body", "the fallback", "500ms"]);
}

#[test]
fn faults_are_injected_where_the_program_was_built_for_it_and_nowhere_else() {
    let said = probed(&[("BACKSTOP_TIMEOUT_SCALE", "10"), ("BACKSTOP_INJECT", "switches.hangs=error(no quote)")]);
    let first = if cfg!(feature = "inject") { "the fallback" } else { "the body" };
    assert_eq!(said, [first, "the fallback", "1s"]);
}
