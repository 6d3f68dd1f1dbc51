//! Faults on purpose, in scopes of their own, on tokio's paused clock.
#![cfg(feature = "inject")]

mod common;

use std::error::Error;
use std::io;
use std::time::Duration;

use backstop::inject::{InjectedError, Rule, scope};
use backstop::{Outcome, TimeoutError, TimeoutKind, timeout_async};
use tokio::time::Instant;

#[timeout_async(millis = 500, name = "inject.fetch")]
async fn fetch() -> io::Result<u32> {
    Ok(7)
}

#[timeout_async(secs = 20, idle_secs = 2, name = "inject.listen")]
async fn listen() -> io::Result<u32> {
    Ok(7)
}

async fn under<F: Future>(rules: &str, future: F) -> F::Output {
    scope(Rule::parse(rules).unwrap(), future).await
}

fn kind(error: &io::Error) -> TimeoutKind {
    timeout(error).kind()
}

fn timeout(error: &io::Error) -> &TimeoutError {
    error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap_or_else(|| panic!("no timeout: {error}"))
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_at_the_limit() {
    let before = Instant::now();
    let error = under("inject.fetch=stall", fetch()).await.unwrap_err();
    assert_eq!((kind(&error), before.elapsed().as_millis() / 10), (TimeoutKind::Limit, 50));
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_at_the_idle_limit() {
    let error = under("inject.listen=stall", listen()).await.unwrap_err();
    assert_eq!(kind(&error), TimeoutKind::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_delay_beyond_the_limit_is_a_timeout_and_a_shorter_one_is_not() {
    assert_eq!(kind(&under("inject.fetch=delay(10s)", fetch()).await.unwrap_err()), TimeoutKind::Limit);
    let before = Instant::now();
    assert_eq!(under("inject.fetch=delay(200ms)", fetch()).await.unwrap(), 7);
    assert_eq!(before.elapsed().as_millis() / 10, 20);
}

#[tokio::test(start_paused = true)]
async fn an_injected_error_has_its_message_as_source() {
    let error = under("inject.fetch=error(no quote)", fetch()).await.unwrap_err();
    assert_eq!(kind(&error), TimeoutKind::Injected);
    let source = timeout(&error).source().and_then(|source| source.downcast_ref::<InjectedError>()).unwrap();
    assert_eq!(source.to_string(), "no quote");
}

#[tokio::test(start_paused = true)]
async fn an_injected_panic_goes_on_to_the_caller_and_is_counted() {
    let before = common::ended("inject.fetch", Outcome::Panicked);
    let panic = tokio::spawn(under("inject.fetch=panic(on purpose)", fetch())).await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "on purpose");
    assert_eq!(common::ended("inject.fetch", Outcome::Panicked), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_scope_ends_with_its_future_and_a_count_with_its_last_call() {
    let calls = async { [fetch().await.is_err(), fetch().await.is_err()] };
    assert_eq!(under("inject.fetch=1*stall", calls).await, [true, false]);
    assert!(fetch().await.is_ok());
}

#[timeout_async(millis = 200, name = "inject.blocked")]
async fn blocked() -> io::Result<u32> {
    Ok(7)
}

/// A real thread is blocked here, so the clock is real too.
#[tokio::test]
async fn a_block_holds_the_thread_so_that_the_call_is_late() {
    let before = std::time::Instant::now();
    assert_eq!(under("inject.blocked=block(600ms)", blocked()).await.unwrap(), 7);
    assert!(before.elapsed() >= Duration::from_millis(600));
    assert_eq!(common::ended("inject.blocked", Outcome::Late), 1);
}

#[timeout_async(secs = 20, isolate, name = "inject.isolated")]
async fn isolated() -> io::Result<[bool; 3]> {
    let spawned = tokio::spawn(fetch());
    let carried = tokio::spawn(backstop::carry(fetch()));
    Ok([fetch().await.is_err(), carried.await?.is_err(), spawned.await?.is_err()])
}

#[tokio::test(start_paused = true)]
async fn a_scope_follows_isolated_bodies_and_carried_tasks_and_no_others() {
    assert_eq!(under("inject.fetch=error(x)", isolated()).await.unwrap(), [true, true, false]);
}

fn install() {
    common::install("[functions.\"inject.seated\"]\nconcurrency = 1\n");
}

#[timeout_async(secs = 1, name = "inject.seated")]
async fn seated() -> io::Result<()> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_injected_inside_the_bulkhead() {
    install();
    let both = async { tokio::join!(seated(), seated()) };
    let (first, second) = under("inject.seated=stall", both).await;
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    assert!(timeout(&first).source().is_none(), "it has its seat, and stalls");
    assert!(timeout(&second).source().unwrap().to_string().contains("in line"));
}
