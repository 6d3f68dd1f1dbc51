//! The breaker: what it counts, when it opens, and what it refuses, on tokio's paused clock.

mod common;

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backstop::{Outcome, Rejection, TimeoutError, TimeoutKind, timeout_async};
use common::ended;
use tokio::time::{Instant, sleep};

fn install() {
    common::install(
        r#"
        [defaults]
        timeout = "500ms"

        [functions."breakers.trips"]
        breaker = { failures = 2, window = "60s", open = "10s" }

        [functions."breakers.waits_for_the_probe"]
        breaker = { failures = 1, window = "60s", open = "1s" }
        retry = { attempts = 20, initial = "100ms", max = "100ms", jitter = false, on = ["rejected", "error"] }

        [functions."breakers.trips_before_its_turn"]
        breaker = { failures = 1, window = "60s", open = "1s" }
        rate_limit = { permits = 1, per = "10s", wait = "1s" }

        [functions."breakers.let_in_once"]
        breaker = { failures = 1, window = "60s", open = "60s" }
        retry = { attempts = 3, initial = "100ms" }

        [functions."breakers.late_trips"]
        on_late = "error"
        timeout = "10s"
        breaker = { failures = 1, window = "60s", open = "60s" }
        "#,
    );
}

/// The timeout in an I/O error.
fn cause(error: &io::Error) -> &TimeoutError {
    error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap_or_else(|| panic!("no timeout: {error}"))
}

#[timeout_async(name = "breakers.trips")]
async fn trips(hang: bool) -> io::Result<u32> {
    if hang { std::future::pending().await } else { Ok(7) }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_refuses_calls_until_a_probe_succeeds() {
    install();
    for _ in 0..2 {
        assert_eq!(cause(&trips(true).await.unwrap_err()).kind(), TimeoutKind::Limit);
    }
    let before = Instant::now();
    let refused = trips(false).await.unwrap_err();
    assert_eq!(cause(&refused).kind(), TimeoutKind::Rejected(Rejection::BreakerOpen));
    assert!(cause(&refused).set_by().to_string().ends_with(".toml:6"), "{}", cause(&refused).set_by());
    assert!(before.elapsed().is_zero());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(trips(false).await.unwrap(), 7);
    assert_eq!(trips(false).await.unwrap(), 7);
    assert_eq!(ended("breakers.trips", Outcome::Rejected), 1);
}

#[timeout_async(name = "breakers.waits_for_the_probe", retry)]
async fn waits_for_the_probe(calls: &AtomicU32) -> io::Result<u32> {
    match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Err(io::Error::other("no quote")),
        _ => Ok(7),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_listed_is_tried_again_until_the_breaker_lets_it_in() {
    install();
    let (calls, before) = (AtomicU32::new(0), Instant::now());
    assert_eq!(waits_for_the_probe(&calls).await.unwrap(), 7);
    assert_eq!(calls.into_inner(), 2, "refused attempts never start");
    assert_eq!(before.elapsed().as_millis() / 100, 10);
}

#[timeout_async(name = "breakers.late_trips")]
async fn late_trips() -> io::Result<()> {
    // Time passes, and nobody has a chance to look.
    _ = futures::FutureExt::now_or_never(tokio::time::advance(Duration::from_secs(11)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_late_value_that_is_an_error_counts_as_one_for_the_breaker() {
    install();
    assert_eq!(cause(&late_trips().await.unwrap_err()).kind(), TimeoutKind::Late);
    assert_eq!(cause(&late_trips().await.unwrap_err()).kind(), TimeoutKind::Rejected(Rejection::BreakerOpen));
}

#[timeout_async(name = "breakers.let_in_once", retry)]
async fn let_in_once() -> io::Result<()> {
    Err(io::Error::other("no quote"))
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_refused_says_what_the_one_before_failed_with() {
    install();
    let refused = let_in_once().await.unwrap_err();
    let refused = cause(&refused);
    assert_eq!((refused.kind(), refused.attempt()), (TimeoutKind::Rejected(Rejection::BreakerOpen), 2));
    assert!(refused.to_string().starts_with("`breakers.let_in_once` was not called again: its breaker is open"), "{refused}");
    assert_eq!(refused.source().unwrap().to_string(), "no quote");
}

#[timeout_async(name = "breakers.trips_before_its_turn")]
async fn trips_before_its_turn(fail: bool) -> io::Result<()> {
    if fail { Err(io::Error::other("no quote")) } else { Ok(()) }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_before_a_turn_is_used() {
    install();
    trips_before_its_turn(true).await.unwrap_err();
    for _ in 0..5 {
        let refused = trips_before_its_turn(false).await.unwrap_err();
        assert_eq!(cause(&refused).kind(), TimeoutKind::Rejected(Rejection::BreakerOpen));
    }
    sleep(Duration::from_secs(10)).await;
    trips_before_its_turn(false).await.unwrap();
}
