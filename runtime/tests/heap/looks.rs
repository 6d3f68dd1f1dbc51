//! What the watchdog's thread takes from the heap while it finds everything that there is to find.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use backstop::{IncidentKind, timeout_async};

use crate::common::wait_for;
use crate::{child, counted};

#[timeout_async(millis = 200, name = "heap.waits_too_long")]
async fn waits_too_long() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 300, idle_millis = 200, name = "heap.is_silent")]
async fn is_silent() -> io::Result<()> {
    backstop::beat_with("the first of two");
    std::future::pending().await
}

#[timeout_async(millis = 600, retry = 1, name = "heap.tries_again")]
async fn tries_again() -> io::Result<()> {
    inner().await
}

#[timeout_async(secs = 300, name = "heap.inner")]
async fn inner() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 300, name = "heap.blocks")]
async fn blocks() -> io::Result<()> {
    thread::sleep(Duration::from_millis(2500));
    Ok(())
}

#[timeout_async(millis = 300, name = "heap.blocks_past_its_limit")]
async fn blocks_past_its_limit() -> io::Result<()> {
    thread::sleep(Duration::from_millis(700));
    Ok(())
}

#[timeout_async(millis = 100, isolate, name = "heap.runs_on")]
async fn runs_on() -> io::Result<()> {
    thread::sleep(Duration::from_millis(1200));
    Ok(())
}

fn watchdog() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    let is = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == "backstop-watchd");
    tasks.into_iter().find(is).unwrap().file_name().to_str().unwrap().parse().unwrap()
}

/// All that can go wrong, on two runtimes of which one stalls.
fn everything_goes_wrong() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(6).build().unwrap();
    let stalls = tokio::runtime::Builder::new_multi_thread().worker_threads(1).name("heap-stalls").build().unwrap();
    backstop::watch_runtime("heap-stalls", stalls.handle());
    let all = async {
        let many: Vec<_> = (0..500).map(|_| tokio::spawn(waits_too_long())).collect();
        let others = [tokio::spawn(is_silent()), tokio::spawn(tries_again()), tokio::spawn(runs_on())];
        let blocked = [tokio::spawn(blocks()), tokio::spawn(blocks_past_its_limit()), stalls.spawn(blocks())];
        for task in many.into_iter().chain(others).chain(blocked) {
            let _ = task.await.unwrap();
        }
    };
    runtime.block_on(all);
    stalls.shutdown_background();
}

#[test]
fn what_the_watchdog_finds_and_hands_over_takes_nothing_from_the_heap() {
    child::alone(|| {
        let policies = std::env::temp_dir().join(format!("backstop-heap-{}.toml", std::process::id()));
        fs::write(&policies, "[watchdog]\nruntime_stalled_after = \"1s\"\n").unwrap();
        let installed = backstop::Builder::new().policies(&policies).install().unwrap();
        fs::remove_file(policies).unwrap();
        // Its thread takes what it needs when it starts.
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(waits_too_long()).unwrap_err();
        wait_for("the first report", || !backstop::incidents().is_empty());
        let tid = watchdog();
        let (before, known) = (counted::taken_by(tid), backstop::incidents().len());
        assert!(before > 0, "what its thread takes is not counted");
        everything_goes_wrong();
        thread::sleep(Duration::from_millis(1500));
        let taken = counted::taken_by(tid) - before;
        assert!(installed.flush(Duration::from_secs(60)));
        let found: Vec<_> = backstop::incidents().into_iter().skip(known).map(|incident| incident.kind).collect();
        use IncidentKind::*;
        for kind in [Limit, Idle, Blocked, Orphan, RuntimeStalled] {
            assert!(found.contains(&kind), "{kind:?} was not found: {found:?}");
        }
        assert_eq!(taken, 0, "of {found:?}");
    });
}
