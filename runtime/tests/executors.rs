//! Limits hold under any executor: the watchdog wakes a call, no timer does. These block real threads for real time.

mod common;

use std::future::{Future, pending};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use backstop::timeout_async;
use common::park;

#[timeout_async(millis = 100, name = "executors.hangs")]
async fn hangs() -> io::Result<()> {
    pending().await
}

fn ends_in_time(run: impl FnOnce() -> io::Result<()>) {
    let before = Instant::now();
    assert_eq!(run().unwrap_err().kind(), io::ErrorKind::TimedOut);
    let elapsed = before.elapsed();
    assert!(elapsed >= Duration::from_millis(100), "never early: {elapsed:?}");
    assert!(elapsed < Duration::from_secs(20), "in time: {elapsed:?}");
}

#[test]
fn a_limit_holds_in_another_executor() {
    ends_in_time(|| futures::executor::block_on(hangs()));
}

fn park_until_ready<F: Future>(future: F) -> F::Output {
    park::block_on(future, thread::park)
}

#[test]
fn a_limit_holds_in_a_block_on_that_parks_its_thread() {
    ends_in_time(|| park_until_ready(hangs()));
}

#[test]
fn a_limit_holds_in_a_pool_of_one_thread() {
    use futures::task::LocalSpawnExt;
    let mut pool = futures::executor::LocalPool::new();
    let (call, other) = (pool.spawner().spawn_local_with_handle(hangs()).unwrap(), pool.spawner());
    other.spawn_local(async { drop(hangs().await) }).unwrap();
    ends_in_time(|| pool.run_until(call));
}

#[timeout_async(secs = 60, idle_millis = 200, name = "executors.silent")]
async fn silent() -> io::Result<()> {
    backstop::beat();
    let _hold = backstop::hold("a while", Duration::from_millis(100));
    pending().await
}

#[timeout_async(millis = 100, retry = 1, name = "executors.again")]
async fn again() -> io::Result<()> {
    pending().await
}

#[timeout_async(millis = 100, grace_secs = 60, name = "executors.tidies")]
async fn tidies() -> io::Result<&'static str> {
    backstop::cancelled().await;
    Ok("tidy")
}

#[test]
fn idle_limits_pauses_and_graces_need_no_tokio_either() {
    ends_in_time(|| park_until_ready(silent()));
    ends_in_time(|| park_until_ready(again()));
    assert_eq!(backstop::stats().into_iter().find(|row| row.name == "executors.again").unwrap().retries, 1);
    assert_eq!(park_until_ready(tidies()).unwrap(), "tidy");
}

#[test]
fn a_limit_holds_in_a_tokio_runtime_without_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    ends_in_time(|| runtime.block_on(hangs()));
}

#[test]
fn a_limit_holds_in_a_multi_threaded_runtime_and_under_spawn() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    ends_in_time(|| runtime.block_on(async { tokio::spawn(hangs()).await.unwrap() }));
}

#[test]
fn a_runtime_that_shuts_down_cancels_its_calls() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::spawn(shut_down());
        tokio::task::yield_now().await;
    });
    drop(runtime);
    let row = backstop::stats().into_iter().find(|row| row.name == "executors.shut_down").unwrap();
    assert_eq!(row.outcome(backstop::Outcome::Cancelled), 1);
    assert_eq!(row.in_flight, 0);
}

#[timeout_async(secs = 300, name = "executors.shut_down")]
async fn shut_down() -> io::Result<()> {
    pending().await
}
