//! tokio's own tests of its timeouts (`tokio/tests/time_timeout.rs`), with the attribute in the place of `timeout` and `timeout_at`.
//!
//! `timeout_at` becomes a deadline that was carried here: a guarded call that inherits it, and has none of its own.

mod common;

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use backstop::{Carried, timeout_async};
use common::step::Stepped;
use tokio::sync::{Semaphore, oneshot};
use tokio::time;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn timed_out(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// Inherits whatever deadline is carried to it.
#[timeout_async(secs = 86_400, name = "tokio.at")]
async fn at<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(future.await)
}

#[timeout_async(millis = 100, name = "tokio.in_100_ms")]
async fn in_100_ms<F: Future>(future: F) -> io::Result<Carried<impl Future<Output = io::Result<F::Output>>>> {
    Ok(backstop::carry(at(future)))
}

#[timeout_async(millis = 300, name = "tokio.in_300_ms")]
async fn in_300_ms<F: Future>(future: F) -> io::Result<Carried<impl Future<Output = io::Result<F::Output>>>> {
    Ok(backstop::carry(at(future)))
}

#[timeout_async(millis = 100, name = "tokio.timeout_100_ms")]
async fn timeout_100_ms<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(future.await)
}

#[tokio::test(start_paused = true)]
async fn simultaneous_deadline_future_completion() {
    let future = in_100_ms(async {}).await.unwrap();
    time::advance(ms(100)).await;
    Stepped::new(future).ready().unwrap();
}

#[tokio::test(start_paused = true)]
async fn completed_future_past_deadline() {
    let future = in_100_ms(async {}).await.unwrap();
    time::advance(ms(1100)).await;
    Stepped::new(future).ready().unwrap();
}

#[tokio::test(start_paused = true)]
async fn future_and_deadline_in_future() {
    let (sender, receiver) = oneshot::channel();
    let mut future = Stepped::new(in_100_ms(receiver).await.unwrap());
    future.pending();
    time::advance(ms(90)).await;
    future.pending();
    sender.send(()).unwrap();
    assert!(future.is_woken());
    future.ready().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn future_and_timeout_in_future() {
    let (sender, receiver) = oneshot::channel();
    let mut future = Stepped::new(timeout_100_ms(receiver));
    future.pending();
    time::advance(ms(90)).await;
    future.pending();
    sender.send(()).unwrap();
    future.ready().unwrap().unwrap();
}

#[timeout_async(secs = 18_446_744_073_709_551_615, name = "tokio.very_large")]
async fn very_large<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(future.await)
}

#[tokio::test(start_paused = true)]
async fn very_large_timeout() {
    let (sender, receiver) = oneshot::channel();
    let mut future = Stepped::new(very_large(receiver));
    future.pending();
    time::advance(Duration::from_secs(86_400 * 365 * 10)).await;
    future.pending();
    sender.send(()).unwrap();
    future.ready().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn deadline_now_elapses() {
    let future = in_100_ms(pending::<()>()).await.unwrap();
    time::advance(ms(100)).await;
    let mut future = Stepped::new(future);
    // tokio's test gives its timer a millisecond; the deadline has passed, and one poll may say so or ask for another.
    let result = match future.poll() {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => {
            assert!(future.is_woken());
            future.ready()
        }
    };
    assert!(timed_out(&result.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn deadline_future_elapses() {
    let mut future = Stepped::new(in_300_ms(pending::<()>()).await.unwrap());
    future.pending();
    time::advance(ms(301)).await;
    assert!(future.is_woken());
    assert!(timed_out(&future.ready().unwrap_err()));
}

#[timeout_async(millis = 1, name = "tokio.not_exhausted")]
async fn one_millisecond<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(future.await)
}

#[tokio::test]
async fn timeout_is_not_exhausted_by_future() {
    let semaphore = Semaphore::new(1);
    // Always ready, but for tokio's budget: it makes a task yield that never waits.
    let greedy = async {
        while let Ok(permit) = semaphore.acquire().await {
            drop(permit);
        }
    };
    assert!(timed_out(&one_millisecond(greedy).await.unwrap_err()));
}
