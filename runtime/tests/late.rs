//! Bodies that block their thread: reported while it lasts, judged when they return. These block real threads.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]

mod common;

use std::io;
use std::thread;
use std::time::Duration;

use backstop::{Incident, IncidentKind, Outcome, timeout_async};
use common::{Gate, wait_for};

fn install() {
    common::install(
        r#"
        [defaults]
        blocked_after = "200ms"
        [functions."late.is_an_error"]
        on_late = "error"
        "#,
    );
}

static REPORTED: Gate = Gate::new();

#[timeout_async(millis = 300, name = "late.blocks")]
async fn blocks() -> io::Result<u32> {
    REPORTED.pass();
    Ok(7)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_blocks_its_thread_is_reported_while_it_does_and_its_value_is_kept() {
    install();
    let call = tokio::spawn(blocks());
    let limit = |incident: &Incident| incident.function == "late.blocks" && incident.kind == IncidentKind::Limit;
    wait_for("a report while the body blocks its thread", || backstop::incidents().iter().any(limit));
    wait_for("the poll to be counted", || common::stats("late.blocks").blocked_polls == 1);
    assert!(!call.is_finished());
    REPORTED.open();
    assert_eq!(call.await.unwrap().unwrap(), 7);
    assert_eq!(common::ended("late.blocks", Outcome::Late), 1);
}

#[timeout_async(millis = 100, name = "late.is_an_error")]
async fn is_an_error() -> io::Result<u32> {
    thread::sleep(Duration::from_millis(600));
    Ok(7)
}

#[tokio::test]
async fn a_late_value_is_an_error_where_the_policy_says_so() {
    install();
    let error = is_an_error().await.unwrap_err();
    assert!(error.to_string().contains("had blocked its thread"), "{error}");
}

#[timeout_async(millis = 100, name = "late.around")]
async fn around() -> io::Result<u32> {
    inside().await
}

#[timeout_async(millis = 100, name = "late.inside")]
async fn inside() -> io::Result<u32> {
    thread::sleep(Duration::from_millis(600));
    Ok(7)
}

#[tokio::test]
async fn a_call_inside_that_blocks_past_its_limit_is_late_as_its_caller_is() {
    install();
    assert_eq!(around().await.unwrap(), 7);
    assert_eq!(["late.around", "late.inside"].map(|name| common::ended(name, Outcome::Late)), [1, 1]);
    let reported = |name| backstop::incidents().iter().any(|incident| incident.function == name && incident.kind == IncidentKind::Limit);
    wait_for("a report", || reported("late.around"));
    assert!(!reported("late.inside"), "the limit that passed first is the caller's");
}

#[timeout_async(secs = 1, name = "late.unnoticed")]
async fn unnoticed() -> io::Result<u32> {
    // Time passes, and nobody has a chance to look.
    _ = futures::FutureExt::now_or_never(tokio::time::advance(Duration::from_secs(2)));
    Ok(7)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_back_before_anybody_has_noticed_is_reported_as_late() {
    install();
    assert_eq!(unnoticed().await.unwrap(), 7);
    assert_eq!(common::stats("late.unnoticed").outcome(Outcome::Late), 1);
    let reported = || backstop::incidents().into_iter().find(|incident| incident.function == "late.unnoticed");
    wait_for("a report", || reported().is_some());
    let late = reported().unwrap();
    assert_eq!((late.kind, late.limit), (IncidentKind::Late, Some(Duration::from_secs(1))), "{late}");
}
