//! A call that outlives the caller who polled it first, because somebody else keeps it: from then on its own limit is in force.

mod common;

use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use backstop::{Outcome, TimeoutError, timeout_async};
use common::ended;
use tokio::time::{Instant, sleep};

fn whose(error: &io::Error) -> &'static str {
    error.get_ref().and_then(|inner| inner.downcast_ref::<TimeoutError>()).expect("a timeout").function()
}

/// Polls a call once, with an earlier deadline than its own, and leaves it to who comes after.
#[timeout_async(millis = 60, name = "outlived.polls_first")]
async fn polls_first<F: Future>(mut call: Pin<&mut F>) -> io::Result<()> {
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    Ok(())
}

async fn ends_by_its_own_limit(call: impl Future<Output = io::Result<()>>, name: &str) {
    let before = Instant::now();
    let mut call = pin!(call);
    polls_first(call.as_mut()).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(30), call).await.expect("it has a limit").unwrap_err();
    assert_eq!((whose(&error), before.elapsed() >= Duration::from_millis(200)), (name, true), "{error}");
    assert_eq!(ended(name, Outcome::Timeout), 1);
}

#[timeout_async(millis = 200, name = "outlived.plain")]
async fn plain() -> io::Result<()> {
    pending().await
}

#[tokio::test]
async fn a_call_that_outlives_its_caller_ends_by_its_own_limit() {
    ends_by_its_own_limit(plain(), "outlived.plain").await;
}

#[timeout_async(millis = 200, grace_secs = 0.01, name = "outlived.layered")]
async fn layered() -> io::Result<()> {
    pending().await
}

#[tokio::test]
async fn a_call_with_layers_that_outlives_its_caller_ends_by_its_own_limit() {
    ends_by_its_own_limit(layered(), "outlived.layered").await;
}

#[timeout_async(millis = 200, name = "outlived.paused")]
async fn paused() -> io::Result<()> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn so_does_one_by_the_paused_clock() {
    ends_by_its_own_limit(paused(), "outlived.paused").await;
}

#[timeout_async(millis = 200, name = "outlived.around")]
async fn around() -> io::Result<()> {
    nested().await
}

#[timeout_async(secs = 10, name = "outlived.nested")]
async fn nested() -> io::Result<()> {
    pending().await
}

#[tokio::test]
async fn what_runs_in_it_ends_with_it_then() {
    ends_by_its_own_limit(around(), "outlived.around").await;
    assert_eq!((ended("outlived.nested", Outcome::Timeout), ended("outlived.nested", Outcome::Cancelled)), (0, 1));
}

/// What `remaining` says in a call that is polled by a caller with 60 ms, and later without.
#[timeout_async(secs = 50, name = "outlived.asks")]
async fn asks() -> io::Result<[Option<Duration>; 3]> {
    let before = backstop::remaining();
    sleep(Duration::from_millis(1)).await;
    Ok([before, backstop::remaining(), asks_inside().await?])
}

#[timeout_async(secs = 100, name = "outlived.asks_inside")]
async fn asks_inside() -> io::Result<Option<Duration>> {
    Ok(backstop::remaining())
}

async fn says_what_applies() {
    let mut call = pin!(asks());
    polls_first(call.as_mut()).await.unwrap();
    let [before, after, inside] = call.await.unwrap().map(Option::unwrap);
    assert!(before <= Duration::from_millis(60), "{before:?}");
    assert!(after > Duration::from_secs(40) && inside > Duration::from_secs(40), "{after:?}, {inside:?}");
}

#[tokio::test]
async fn what_remains_is_told_by_the_deadline_that_applies() {
    says_what_applies().await;
}

#[tokio::test(start_paused = true)]
async fn what_remains_is_told_so_by_the_paused_clock_too() {
    says_what_applies().await;
}

/// Is not dropped while its limit is over: it cannot be.
#[timeout_async(millis = 100, grace_secs = 0.5, name = "outlived.in_grace")]
async fn in_grace() -> io::Result<()> {
    ends_with_it().await
}

#[timeout_async(millis = 200, name = "outlived.ends_with_it")]
async fn ends_with_it() -> io::Result<()> {
    pending().await
}

#[tokio::test]
async fn a_caller_in_its_grace_still_ends_what_runs_in_it() {
    assert_eq!(whose(&in_grace().await.unwrap_err()), "outlived.in_grace");
    assert_eq!((ended("outlived.ends_with_it", Outcome::Timeout), ended("outlived.ends_with_it", Outcome::Cancelled)), (0, 1));
}
