//! The programs that stall, one a kind. Each ends as such a program ends: by its own exit code, a panic, or not at all.
//!
//! Whoever stalls for a while does so until the report is there, so that no machine is too slow for it.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use backstop::{Incident, IncidentKind, Outcome, beat_with, timeout_async};
use tokio::runtime::{Builder, Runtime};

/// Stalls as `kind` says, with reports in `folder`.
pub fn run(kind: &str, folder: &Path) -> ExitCode {
    let policies = folder.join("backstop.toml");
    let abort = if kind == "abort" { "on_runtime_stall = 'abort'\n" } else { "" };
    std::fs::write(&policies, format!("{POLICIES}{abort}")).unwrap();
    let builder = backstop::Builder::new().policies(policies).reports(folder.join("reports"));
    let builder = match kind {
        "signal" => builder.dump_on_signal(SIGUSR1),
        "panics" => builder.dump_on_panic(),
        "total" => builder.dump_at_exit(),
        _ => builder,
    };
    let _backstop = builder.install().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("worker").enable_all().build().unwrap();
    let ended = match kind {
        "waits" => on(&runtime, outer()),
        "idle" => on(&runtime, falls_silent()),
        "total" => on(&runtime, tries_again()),
        "sleeps" => until_over(IncidentKind::Blocked, on(&runtime, sleeps())),
        "spins" => until_over(IncidentKind::Blocked, on(&runtime, spins())),
        "deadlock" => on(&runtime, locks_twice(Arc::default())),
        "orphan" => until_over(IncidentKind::Orphan, on(&runtime, outlives_its_caller())),
        "late" => on(&runtime, comes_late()),
        "panics" => on(&runtime, panics()),
        "signal" => on(&runtime, hangs()),
        "runtime" | "abort" => {
            backstop::watch_runtime("ingest", runtime.handle());
            let other = runtime.spawn(takes_a_worker());
            until_over(IncidentKind::RuntimeStalled, on(&runtime, takes_a_worker())).and(runtime.block_on(other).unwrap())
        }
        _ => panic!("there is no stall {kind}"),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

const POLICIES: &str = r#"
[functions."stall.*"]
blocked_after = "200ms"

[functions."stall.total"]
total = "2500ms"
retry = { attempts = 9, initial = "none" }

[watchdog]
runtime_stalled_after = "1s"
"#;

/// Linux and BSD give it different numbers.
pub const SIGUSR1: i32 = if cfg!(target_os = "linux") { 10 } else { 30 };

/// Runs the call on a worker, as a task.
fn on(runtime: &Runtime, call: impl Future<Output = io::Result<()>> + Send + 'static) -> io::Result<()> {
    runtime.block_on(runtime.spawn(call)).unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[timeout_async(secs = 60, name = "stall.outer")]
async fn outer() -> io::Result<()> {
    waits().await
}

#[timeout_async(millis = 300, name = "stall.waits")]
async fn waits() -> io::Result<()> {
    innermost().await
}

#[timeout_async(secs = 60, name = "stall.innermost")]
async fn innermost() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 60, idle_millis = 300, name = "stall.idle")]
async fn falls_silent() -> io::Result<()> {
    beat_with(format_args!("item {} of 9", 1));
    tokio::task::yield_now().await;
    beat_with(format_args!("item {} of 9", 2));
    std::future::pending().await
}

#[timeout_async(secs = 1, retry, name = "stall.total")]
async fn tries_again() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 60, name = "stall.sleeps")]
async fn sleeps() -> io::Result<()> {
    // Long ones: it must not be awake when it is looked at.
    until_reported(IncidentKind::Blocked, || thread::sleep(Duration::from_millis(700)));
    Ok(())
}

#[timeout_async(secs = 60, name = "stall.spins")]
async fn spins() -> io::Result<()> {
    until_reported(IncidentKind::Blocked, || {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
    });
    Ok(())
}

/// Two threads that wait for each other's lock, for ever.
#[timeout_async(secs = 60, name = "stall.deadlock")]
async fn locks_twice(locks: Arc<[Mutex<()>; 2]>) -> io::Result<()> {
    let (mine, theirs) = (locks[0].lock().unwrap(), Arc::clone(&locks));
    let (has_locked, locked) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let _theirs = theirs[1].lock().unwrap();
        has_locked.send(()).unwrap();
        drop(theirs[0].lock().unwrap());
    });
    locked.recv().unwrap();
    drop(locks[1].lock().unwrap());
    drop(mine);
    Ok(())
}

#[timeout_async(millis = 300, isolate, name = "stall.orphan")]
async fn outlives_its_caller() -> io::Result<()> {
    until_reported(IncidentKind::Orphan, || thread::sleep(Duration::from_millis(50)));
    Ok(())
}

#[timeout_async(millis = 1500, name = "stall.late")]
async fn blocks_past_its_limit() -> io::Result<()> {
    until_reported(IncidentKind::Limit, || thread::sleep(Duration::from_millis(50)));
    Ok(())
}

async fn comes_late() -> io::Result<()> {
    blocks_past_its_limit().await?;
    let late = backstop::stats().iter().find(|row| row.name == "stall.late").map(|row| row.outcome(Outcome::Late));
    if late == Some(1) { Ok(()) } else { Err(io::Error::other("the call was not counted as late")) }
}

#[timeout_async(secs = 60, name = "stall.panics")]
async fn panics() -> io::Result<()> {
    tokio::task::yield_now().await;
    panic!("on purpose");
}

#[timeout_async(secs = 600, name = "stall.hangs")]
async fn hangs() -> io::Result<()> {
    println!("hanging");
    std::future::pending().await
}

#[timeout_async(secs = 60, name = "stall.worker")]
async fn takes_a_worker() -> io::Result<()> {
    until_reported(IncidentKind::RuntimeStalled, || thread::sleep(Duration::from_millis(50)));
    Ok(())
}

/// How long a report waits for the stack, at the most.
pub const STACKS: Duration = Duration::from_secs(if cfg!(native_stacks) { 5 } else { 0 });

/// Goes on stalling until the report is there, and the stack in it.
fn until_reported(kind: IncidentKind, stall: impl Fn()) {
    let has = |what: fn(&Incident) -> bool| backstop::incidents().iter().any(|incident| incident.kind == kind && what(incident));
    until(|| has(|_| true), &stall);
    let began = Instant::now();
    until(|| began.elapsed() >= STACKS || has(|incident| !incident.threads.is_empty()), stall);
}

/// Waits until the report says that it is over: a program that goes on.
fn until_over<R>(kind: IncidentKind, ended: R) -> R {
    let over = || backstop::incidents().iter().any(|incident| incident.kind == kind && incident.resolved.is_some());
    until(over, || thread::sleep(Duration::from_millis(50)));
    ended
}

/// A minute at most, so that a test that fails ends.
fn until(done: impl Fn() -> bool, pass_time: impl Fn()) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) && !done() {
        pass_time();
    }
}
