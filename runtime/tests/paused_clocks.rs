//! tokio's paused clock: each runtime has its own, and a guarded call lives by the one of the runtime that it begins in.

mod common;

use std::future::pending;
use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use backstop::{TimeoutError, timeout_async};
use common::step::Stepped;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{self, Instant, advance, sleep};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn elapsed(error: &io::Error) -> Duration {
    error.get_ref().and_then(|inner| inner.downcast_ref::<TimeoutError>()).expect("a timeout").elapsed()
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[timeout_async(secs = 3600, name = "paused.an_hour")]
async fn an_hour(length: Duration) -> io::Result<()> {
    sleep(length).await;
    Ok(())
}

#[timeout_async(secs = 1, name = "paused.real")]
async fn real() -> io::Result<()> {
    pending().await
}

/// As cargo runs tests: beside each other in one process, on threads of their own.
#[test]
fn tests_that_run_beside_each_other_do_not_share_a_clock() {
    let start = Barrier::new(9);
    thread::scope(|scope| {
        for number in 1..=8 {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for _ in 0..100 {
                    paused().block_on(async {
                        let before = Instant::now();
                        an_hour(secs(number * 400)).await.unwrap();
                        assert_eq!(before.elapsed(), secs(number * 400));
                        advance(secs(number * 86_400)).await;
                        let before = Instant::now();
                        let error = an_hour(secs(4000)).await.unwrap_err();
                        assert_eq!((before.elapsed(), elapsed(&error)), (secs(3600), secs(3600)));
                    });
                }
            });
        }
        start.wait();
        let before = std::time::Instant::now();
        let error = Builder::new_current_thread().enable_all().build().unwrap().block_on(real()).unwrap_err();
        assert!(before.elapsed() >= secs(1), "the real clock is nobody else's");
        assert!(elapsed(&error) < secs(60), "{error}");
    });
}

#[test]
fn a_call_without_a_runtime_lives_by_the_real_clock_beside_a_paused_one() {
    let runtime = paused();
    let (before, mut call) = (std::time::Instant::now(), Stepped::new(real()));
    call.pending();
    runtime.block_on(advance(secs(86_400)));
    call.pending();
    while !call.is_woken() {
        assert!(before.elapsed() < secs(20));
        thread::sleep(Duration::from_millis(5));
    }
    call.ready().unwrap_err();
    assert!(before.elapsed() >= secs(1));
}

#[tokio::test]
async fn a_clock_that_is_paused_in_the_middle_of_a_test_holds_for_the_calls_that_begin_then() {
    assert!(an_hour(Duration::from_millis(1)).await.is_ok());
    time::pause();
    let before = Instant::now();
    // It stands in the middle of a millisecond, and tokio's timers round up.
    assert_eq!(elapsed(&an_hour(secs(4000)).await.unwrap_err()).as_secs(), 3600);
    assert_eq!(before.elapsed().as_secs(), 3600);
    time::resume();
    let before = std::time::Instant::now();
    real().await.unwrap_err();
    assert!(before.elapsed() >= secs(1));
}

#[timeout_async(secs = 3600, name = "paused.busy")]
async fn busy(length: Option<Duration>) -> io::Result<()> {
    if let Some(length) = length {
        sleep(length).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_paused_between_two_of_many_calls_holds_for_the_second() {
    for _ in 0..15 {
        // So many that most of them are not looked at one by one.
        for _ in 0..2000 {
            busy(None).await.unwrap();
        }
        time::pause();
        let error = busy(Some(secs(4000))).await.unwrap_err();
        assert_eq!(elapsed(&error).as_secs(), 3600);
        time::resume();
    }
}

#[timeout_async(secs = 100, idle_secs = 40, name = "paused.advanced")]
async fn advanced() -> io::Result<()> {
    backstop::beat();
    pending().await
}

#[tokio::test(start_paused = true)]
async fn advance_alone_ends_an_idle_call_at_its_idle_limit() {
    let mut call = Stepped::new(advanced());
    call.pending();
    advance(secs(39)).await;
    call.pending();
    advance(secs(1)).await;
    assert!(call.is_woken());
    assert_eq!(elapsed(&call.ready().unwrap_err()), secs(40));
}
