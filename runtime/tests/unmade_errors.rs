//! Where what makes the error of a timeout panics, the call is counted all the same.

mod common;

use std::future::pending;
use std::time::Duration;

use backstop::{Outcome, TimeoutError, timeout_async};
use common::{ended, stats};

fn panics(error: TimeoutError) -> u32 {
    panic!("on purpose: {error}");
}

#[timeout_async(millis = 50, on_timeout = panics, name = "unmade_errors.plain")]
async fn plain() -> u32 {
    pending().await
}

#[tokio::test]
async fn a_call_without_layers_has_timed_out_where_on_timeout_panics() {
    assert!(tokio::spawn(plain()).await.unwrap_err().is_panic());
    assert_eq!((ended("unmade_errors.plain", Outcome::Timeout), stats("unmade_errors.plain").in_flight), (1, 0));
}

#[timeout_async(millis = 50, grace_secs = 0.01, on_timeout = panics, name = "unmade_errors.layered")]
async fn layered() -> u32 {
    tokio::time::sleep(Duration::from_secs(600)).await;
    7
}

#[tokio::test(start_paused = true)]
async fn a_call_with_layers_has_timed_out_where_on_timeout_panics() {
    assert!(tokio::spawn(layered()).await.unwrap_err().is_panic());
    let outcomes = [Outcome::Timeout, Outcome::Cancelled].map(|outcome| ended("unmade_errors.layered", outcome));
    assert_eq!((outcomes, stats("unmade_errors.layered").in_flight), ([1, 0], 0));
}
