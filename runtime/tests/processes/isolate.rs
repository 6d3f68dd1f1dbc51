//! Work that outlives its caller: the body of `isolate`, which releases its caller even while it blocks its thread, and what is handed to
//! `spawn_blocking`. These block real threads.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use backstop::{Incident, IncidentKind, timeout_async};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::common::{Gate, stats, wait_for};

/// What was reported as the orphan of a function.
fn orphans(function: &str) -> Vec<Incident> {
    let of_it = |incident: &Incident| incident.kind == IncidentKind::Orphan && incident.function == function;
    backstop::incidents().into_iter().filter(of_it).collect()
}

static SEEN: Gate = Gate::new();

#[timeout_async(millis = 200, isolate, name = "isolate.blocks")]
async fn blocks() -> io::Result<()> {
    SEEN.pass();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_released_while_its_isolated_body_blocks_its_thread() {
    assert_eq!(blocks().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let orphan = || backstop::snapshot().calls.into_iter().find(|call| call.function == "isolate.blocks");
    assert!(orphan().is_some_and(|call| call.detached && call.polling.is_some()), "the orphan is shown until it ends");
    wait_for("a report while it runs", || !orphans("isolate.blocks").is_empty());
    SEEN.open();
    wait_for("its end", || orphan().is_none());
}

#[timeout_async(secs = 30, isolate, name = "isolate.panics")]
async fn panics() -> io::Result<()> {
    panic!("on purpose");
}

#[tokio::test]
async fn a_panic_of_an_isolated_body_goes_on_to_the_caller() {
    let panic = tokio::spawn(panics()).await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
}

#[timeout_async(secs = 30, isolate, name = "isolate.in_place")]
async fn in_place() -> io::Result<thread::ThreadId> {
    Ok(thread::current().id())
}

#[test]
fn without_a_tokio_runtime_an_isolated_body_runs_in_place() {
    assert_eq!(futures::executor::block_on(in_place()).unwrap(), thread::current().id());
}

/// Hands over work that lasts until it is told to end, and waits for it.
#[timeout_async(millis = 200, name = "isolate.hands_over")]
async fn hands_over(enough: Receiver<()>) -> io::Result<()> {
    spawn_blocking(backstop::carry_blocking(move || _ = enough.recv())).await.map_err(io::Error::other)
}

#[test]
fn blocking_work_that_outlives_its_caller_is_counted_and_reported_until_it_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (end, enough) = channel();
    assert_eq!(runtime.block_on(hands_over(enough)).unwrap_err().kind(), io::ErrorKind::TimedOut);
    let orphan = is_told_until("isolate.hands_over", end);
    assert!(orphan.to_string().contains("was handed to `spawn_blocking`"), "{orphan}");
}

/// Blocks its thread until it is told to end.
#[timeout_async(millis = 200, isolate, name = "isolate.is_left")]
async fn is_left(enough: Receiver<()>) -> io::Result<()> {
    enough.recv().map_err(io::Error::other)
}

#[test]
fn a_body_that_outlives_its_caller_is_counted_and_reported_until_it_ends() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (end, enough) = channel();
    assert_eq!(runtime.block_on(is_left(enough)).unwrap_err().kind(), io::ErrorKind::TimedOut);
    let orphan = is_told_until("isolate.is_left", end);
    let shown = orphan.calls.calls.iter().find(|call| Some(call.id) == orphan.call);
    assert!(shown.is_some_and(|call| call.detached && call.polling.is_some()), "{orphan}");
}

/// Follows the one orphan of a function, and ends it; its first report.
fn is_told_until(function: &str, end: Sender<()>) -> Incident {
    wait_for("a report", || !orphans(function).is_empty());
    let orphan = orphans(function).remove(0);
    assert!(orphan.resolved.is_none() && orphan.elapsed >= Duration::from_millis(100) && orphan.thread.is_some(), "{orphan}");
    assert_eq!(stats(function).orphans, 1);
    for later in [2, 4] {
        wait_for("its age to be told", || orphans(function).iter().any(|told| told.elapsed >= later * orphan.elapsed));
    }
    let lasted = orphans(function)[0].elapsed;
    end.send(()).unwrap();
    wait_for("its end", || orphans(function).iter().any(|ended| ended.resolved.is_some()));
    let events = backstop::dump().events;
    let told = |what: &str| events.iter().filter(|event| event.what == what && event.function == Some(function)).collect::<Vec<_>>();
    assert_eq!((orphans(function).len(), told("orphaned").len(), told("orphan_ended").len(), stats(function).orphans), (1, 1, 1, 0));
    assert!(told("orphan_ended")[0].elapsed >= lasted, "the whole time is told: {:?}", told("orphan_ended"));
    orphan
}

/// Waits for work that it hands over, and ends before work that a task of its own waits for.
#[timeout_async(secs = 30, name = "isolate.is_served")]
async fn is_served(last: Sender<()>) -> io::Result<()> {
    let lasts = || thread::sleep(Duration::from_millis(400));
    spawn_blocking(backstop::carry_blocking(lasts)).await?;
    let (begun, begins) = oneshot::channel();
    tokio::spawn(backstop::carry(async move {
        let work = backstop::carry_blocking(move || {
            begun.send(()).unwrap();
            lasts();
        });
        spawn_blocking(work).await.unwrap();
        last.send(()).unwrap();
    }));
    begins.await.map_err(io::Error::other)
}

#[test]
fn work_that_somebody_waits_for_is_no_orphan() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (last, ended) = channel();
    runtime.block_on(is_served(last)).unwrap();
    ended.recv().unwrap();
    assert!(orphans("isolate.is_served").is_empty(), "{}", orphans("isolate.is_served")[0]);
}
