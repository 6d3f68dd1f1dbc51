//! Rules of a guarded call that no other file tests, on tokio's paused clock: permits, inheritance, what the error says, the layers' order.

mod common;

use std::error::Error;
use std::future::pending;
use std::io;
use std::time::Duration;

use backstop::{Outcome, TimeoutError, TimeoutKind, timeout_async};
use common::ended;
use common::step::Stepped;
use futures::FutureExt;
use tokio::time::{Instant, advance, sleep};

fn install() {
    common::install(
        r#"
        [functions."rules.one_seat"]
        concurrency = 1

        [functions."rules.one_turn"]
        rate_limit = { permits = 1, per = "1h", wait = "2h" }

        [functions."rules.one_probe"]
        breaker = { failures = 1, window = "1h", open = "10s" }

        [functions."rules.keeps_its_own"]
        inherit = false

        [functions."rules.total"]
        total = "1500ms"
        retry = { attempts = 3, initial = "none" }

        [functions."rules.for_days"]
        timeout = "none"

        [functions."rules.slow"]
        warn_at = 0.5

        [functions."rules.late"]
        on_late = "error"
        "#,
    );
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn cause(error: &io::Error) -> &TimeoutError {
    error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap_or_else(|| panic!("no timeout: {error}"))
}

#[timeout_async(secs = 10, name = "rules.one_seat")]
async fn one_seat(hang: bool) -> io::Result<u32> {
    if hang { pending().await } else { Ok(7) }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_its_seat_back() {
    install();
    let mut call = Stepped::new(one_seat(true));
    call.pending();
    let mut waits = Stepped::new(one_seat(true));
    waits.pending();
    drop(waits);
    drop(call);
    assert_eq!(one_seat(false).await.unwrap(), 7);
    assert_eq!((ended("rules.one_seat", Outcome::Cancelled), ended("rules.one_seat", Outcome::Timeout)), (2, 0));
}

#[timeout_async(secs = 10, name = "rules.one_turn")]
async fn one_turn() -> io::Result<u32> {
    Ok(7)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_for_its_turn_gives_that_back() {
    install();
    assert_eq!(one_turn().await.unwrap(), 7);
    let before = Instant::now();
    let mut waits = Stepped::new(one_turn());
    waits.pending();
    drop(waits);
    assert_eq!(one_turn().await.unwrap(), 7);
    assert_eq!(before.elapsed(), secs(3600), "the next turn, not the one after it");
}

#[timeout_async(secs = 10, name = "rules.one_probe")]
async fn one_probe(length: u64) -> io::Result<u32> {
    sleep(secs(length)).await;
    Ok(7)
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_lets_the_next_call_probe() {
    install();
    one_probe(60).await.unwrap_err();
    sleep(secs(10)).await;
    let mut probe = Stepped::new(one_probe(60));
    probe.pending();
    assert!(matches!(cause(&one_probe(1).await.unwrap_err()).kind(), TimeoutKind::Rejected(_)), "one probes at a time");
    drop(probe);
    assert_eq!(one_probe(1).await.unwrap(), 7);
}

#[timeout_async(secs = 1, name = "rules.outer")]
async fn outer() -> io::Result<Option<Duration>> {
    tokio::spawn(backstop::carry(keeps_its_own())).await?
}

#[timeout_async(secs = 5, name = "rules.keeps_its_own")]
async fn keeps_its_own() -> io::Result<Option<Duration>> {
    let remaining = backstop::remaining();
    pending::<()>().await;
    Ok(remaining)
}

#[timeout_async(secs = 60, name = "rules.asks")]
async fn asks() -> io::Result<Option<Duration>> {
    keeps_and_tells().await
}

#[timeout_async(secs = 600, name = "rules.keeps_its_own.and_tells")]
async fn keeps_and_tells() -> io::Result<Option<Duration>> {
    Ok(backstop::remaining())
}

#[tokio::test(start_paused = true)]
async fn a_function_that_inherits_nothing_keeps_its_own_deadline() {
    install();
    assert_eq!(asks().await.unwrap(), Some(secs(60)), "others do inherit");
    assert_eq!(cause(&outer().await.unwrap_err()).function(), "rules.outer");
    sleep(secs(3)).await;
    assert_eq!(ended("rules.keeps_its_own", Outcome::Timeout), 0, "its five seconds are not over");
    sleep(secs(1)).await;
    tokio::task::yield_now().await;
    assert_eq!(ended("rules.keeps_its_own", Outcome::Timeout), 1);
}

#[timeout_async(secs = 1, retry, name = "rules.total")]
async fn total() -> io::Result<()> {
    pending().await
}

#[timeout_async(secs = 60, idle_secs = 2, name = "rules.idle")]
async fn idle() -> io::Result<()> {
    pending().await
}

#[timeout_async(secs = 1, name = "rules.late")]
async fn late() -> io::Result<()> {
    assert!(advance(secs(3)).now_or_never().is_none(), "the clock moves while the body holds its thread");
    Ok(())
}

#[timeout_async(secs = 1, name = "rules.source")]
async fn source() -> io::Result<()> {
    assert!(advance(secs(3)).now_or_never().is_none());
    Err(io::Error::other("no quote"))
}

#[tokio::test(start_paused = true)]
async fn the_error_says_which_limit_of_whom_it_was_who_set_it_and_in_which_attempt() {
    install();
    let total = total().await.unwrap_err();
    let error = cause(&total);
    assert_eq!((error.function(), error.kind(), error.limit()), ("rules.total", TimeoutKind::Total, Duration::from_millis(1500)));
    assert_eq!((error.attempt(), error.attempts(), error.elapsed()), (2, 3, Duration::from_millis(1500)));
    assert!(error.set_by().to_string().ends_with(".toml:15"), "{}", error.set_by());
    assert!(error.incident().is_some());

    let idle = idle().await.unwrap_err();
    assert_eq!((cause(&idle).kind(), cause(&idle).limit()), (TimeoutKind::Idle, secs(2)));
    assert!(cause(&idle).set_by().to_string().contains("rules.rs:"), "{}", cause(&idle).set_by());

    let late = late().await.unwrap_err();
    assert_eq!((cause(&late).kind(), cause(&late).elapsed()), (TimeoutKind::Late, secs(3)));

    let source = source().await.unwrap_err();
    assert_eq!((cause(&source).kind(), cause(&source).source().unwrap().to_string()), (TimeoutKind::Limit, "no quote".to_owned()));
}

#[timeout_async(grace_secs = 1, fallback = instead, retry = 2, idle_secs = 5, name = "rules.one_order", secs = 9)]
async fn one_order() -> io::Result<()> {
    Ok(())
}

#[timeout_async(secs = 9, name = "rules.another_order", idle_secs = 5, retry = 2, fallback = instead, grace_secs = 1)]
async fn another_order() -> io::Result<()> {
    Ok(())
}

async fn instead(_: io::Error) -> io::Result<()> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn arguments_in_any_order_make_the_same_layers_and_explain_prints_them() {
    install();
    one_order().await.unwrap();
    another_order().await.unwrap();
    let explained = |name: &str| {
        let text = backstop::explain(name).unwrap().to_string();
        // Without the first line: it says where the function is.
        let rest = text.split_once('\n').unwrap().1.to_owned();
        let lines = rest.lines().map(|line| line.split("rules.rs:").next().unwrap_or_default().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(explained("rules.one_order"), explained("rules.another_order"));
    let layers = "fallback ( total ( retry ( breaker ( rate limit ( attempt limit ( bulkhead ( injection ( body ))))))))";
    assert_eq!(explained("rules.one_order")[0].trim(), layers);
}

#[timeout_async(secs = 1, name = "rules.for_days")]
async fn for_days(days: u64) -> io::Result<Option<Duration>> {
    sleep(secs(days * 86_400)).await;
    Ok(backstop::remaining())
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_a_body_runs_for_days() {
    install();
    assert_eq!(for_days(30).await.unwrap(), None);
}

#[timeout_async(secs = 300, name = "rules.slow")]
async fn slow() -> io::Result<()> {
    sleep(secs(200)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_warned_of_once_at_its_time_and_goes_well() {
    install();
    slow().await.unwrap();
    let events = backstop::dump().events.into_iter().filter(|event| event.function == Some("rules.slow"));
    let events: Vec<_> = events.map(|event| (event.what, event.elapsed)).collect();
    assert_eq!(events, [("slow", secs(150)), ("finished", secs(200))]);
    assert_eq!(ended("rules.slow", Outcome::Ok), 1);
}

#[timeout_async(secs = 1, name = "rules.no_time_left")]
async fn no_time_left() -> io::Result<u32> {
    sleep(Duration::from_millis(500)).await;
    assert!(advance(secs(1)).now_or_never().is_none());
    ready_at_once().await
}

#[timeout_async(secs = 5, name = "rules.ready_at_once")]
async fn ready_at_once() -> io::Result<u32> {
    Ok(7)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_ready_at_once_answers_with_nothing_left_on_the_clock() {
    assert_eq!(no_time_left().await.unwrap(), 7);
    assert_eq!((ended("rules.no_time_left", Outcome::Late), ended("rules.ready_at_once", Outcome::Ok)), (1, 1));
}
