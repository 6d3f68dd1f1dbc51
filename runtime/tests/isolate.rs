//! `isolate`: the caller is released even while the body blocks its thread. These block real threads.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backstop::timeout_async;

static ENDED: AtomicBool = AtomicBool::new(false);

#[timeout_async(millis = 200, isolate, name = "isolate.blocks")]
async fn blocks() -> io::Result<()> {
    thread::sleep(Duration::from_secs(3));
    ENDED.store(true, Ordering::SeqCst);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_released_while_its_isolated_body_blocks_its_thread() {
    let before = Instant::now();
    assert_eq!(blocks().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(before.elapsed() < Duration::from_millis(2500), "released before the body ended");
    assert!(!ENDED.load(Ordering::SeqCst));
    let orphan = || backstop::snapshot().calls.into_iter().find(|call| call.function == "isolate.blocks");
    assert!(orphan().is_some_and(|call| call.detached && call.polling.is_some()), "the orphan is shown until it ends");
    let orphans = || backstop::incidents().into_iter().filter(|incident| incident.kind == backstop::IncidentKind::Orphan).count();
    while orphans() == 0 {
        assert!(!ENDED.load(Ordering::SeqCst), "the orphan is reported while it runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while !ENDED.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(orphan().is_none());
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
