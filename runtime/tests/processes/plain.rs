//! Calls without layers, by the wall clock: the path that most calls take. Counted, shown and ended like all others.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use backstop::{Incident, IncidentKind, Outcome, timeout_async};
use tokio::task::yield_now;

use crate::common::{self, Gate, ended, wait_for};

#[timeout_async(secs = 30, name = "plain.counted")]
async fn counted(round: u32) -> io::Result<u32> {
    for _ in 0..round % 3 {
        yield_now().await;
    }
    match round % 10 {
        9 => Err(io::Error::other("no quote")),
        _ => Ok(round),
    }
}

#[test]
fn every_call_of_many_threads_is_counted_once() {
    let calls = || {
        futures::executor::block_on(async {
            for round in 0..20_000 {
                _ = counted(round).await
            }
        })
    };
    std::thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(calls)));
    let row = common::stats("plain.counted");
    assert_eq!((row.calls, row.in_flight), (80_000, 0));
    assert_eq!((row.outcome(Outcome::Ok), row.outcome(Outcome::Error)), (72_000, 8_000));
}

#[timeout_async(secs = 30, name = "plain.outer")]
async fn outer() -> io::Result<backstop::Tree> {
    middle().await
}

#[timeout_async(secs = 30, name = "plain.middle")]
async fn middle() -> io::Result<backstop::Tree> {
    let shown = inner().await?;
    assert!(backstop::remaining() <= Some(Duration::from_secs(30)));
    Ok(shown)
}

#[timeout_async(secs = 5, name = "plain.inner")]
async fn inner() -> io::Result<backstop::Tree> {
    assert!(backstop::remaining() <= Some(Duration::from_secs(5)));
    yield_now().await;
    Ok(backstop::snapshot())
}

#[tokio::test]
async fn calls_inside_each_other_are_shown_under_their_callers() {
    let tree = outer().await.unwrap();
    let names = ["plain.outer", "plain.middle", "plain.inner"];
    let shown: Vec<_> = tree.calls.iter().filter(|call| names.contains(&call.function)).map(|call| (call.function, call.depth)).collect();
    assert_eq!(shown, [("plain.outer", 0), ("plain.middle", 1), ("plain.inner", 2)]);
    assert!(tree.calls.iter().filter(|call| names.contains(&call.function)).all(|call| call.polling.is_some()), "{tree}");
    assert!(!backstop::snapshot().calls.iter().any(|call| names.contains(&call.function)), "nothing stays in the table");
}

#[timeout_async(millis = 80, name = "plain.waits")]
async fn waits() -> io::Result<()> {
    beyond().await
}

#[timeout_async(secs = 30, name = "plain.beyond")]
async fn beyond() -> io::Result<()> {
    pending().await
}

#[tokio::test]
async fn a_limit_is_never_early_and_ends_the_calls_inside() {
    for _ in 0..5 {
        let before = Instant::now();
        let error = waits().await.unwrap_err();
        assert!(before.elapsed() >= Duration::from_millis(80), "{:?}", before.elapsed());
        assert!(error.to_string().starts_with("`plain.waits` did not finish within 80ms"), "{error}");
    }
    assert_eq!((ended("plain.waits", Outcome::Timeout), ended("plain.beyond", Outcome::Cancelled)), (5, 5));
}

#[timeout_async(secs = 30, name = "plain.panics")]
async fn panics(polls: u32) -> io::Result<()> {
    for _ in 0..polls {
        yield_now().await;
    }
    panic!("on purpose");
}

#[tokio::test]
async fn a_panic_is_counted_at_the_first_poll_and_at_a_later_one() {
    for polls in [0, 1, 5] {
        assert!(tokio::spawn(panics(polls)).await.unwrap_err().is_panic());
    }
    let row = common::stats("plain.panics");
    assert_eq!((row.outcome(Outcome::Panicked), row.calls, row.in_flight), (3, 3, 0));
}

#[timeout_async(secs = 30, name = "plain.moves")]
async fn moves() -> io::Result<()> {
    let mut polled = 0;
    poll_fn(|cx| {
        polled += 1;
        cx.waker().wake_by_ref();
        if polled > 20 { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

#[test]
fn a_call_that_is_polled_by_one_thread_after_the_other_ends_once() {
    let mut call = Box::pin(moves());
    loop {
        let polled = std::thread::spawn(move || {
            let waker = futures::task::noop_waker();
            let polled = call.as_mut().poll(&mut std::task::Context::from_waker(&waker));
            (polled, call)
        });
        let (polled, back) = polled.join().unwrap();
        call = back;
        if polled.is_ready() {
            break;
        }
    }
    let row = common::stats("plain.moves");
    assert_eq!((row.outcome(Outcome::Ok), row.in_flight), (1, 0));
}

#[timeout_async(secs = 30, name = "plain.held")]
async fn held() -> io::Result<()> {
    let _hold = backstop::hold("loading", Duration::from_secs(5));
    backstop::beat_with("half way");
    yield_now().await;
    let shown = backstop::snapshot().calls.into_iter().find(|call| call.function == "plain.held").unwrap();
    assert_eq!(shown.beat.unwrap().progress.as_deref(), Some("half way"));
    Ok(())
}

#[tokio::test]
async fn signs_of_life_are_shown_without_an_idle_limit_too() {
    held().await.unwrap();
}

static FOUND: Gate = Gate::new();

#[timeout_async(secs = 300, name = "plain.found")]
async fn found() -> io::Result<()> {
    tokio::task::block_in_place(|| FOUND.pass());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_poll_that_does_not_return_is_shown_and_reported_while_it_lasts() {
    let call = tokio::spawn(found());
    let is_blocked = |incident: &Incident| incident.function == "plain.found" && incident.kind == IncidentKind::Blocked;
    wait_for("a report while the body blocks its thread", || backstop::incidents().iter().any(is_blocked));
    let shown = backstop::snapshot().calls.into_iter().find(|call| call.function == "plain.found").unwrap();
    assert!(shown.polling.is_some_and(|polling| polling.elapsed >= Duration::from_secs(1)));
    FOUND.open();
    call.await.unwrap().unwrap();
}

#[timeout_async(secs = 30, name = "plain.large")]
async fn large() -> io::Result<usize> {
    let kept = [1_u8; 1024];
    yield_now().await;
    Ok(kept.iter().map(|byte| usize::from(*byte)).sum())
}

#[tokio::test]
async fn a_guarded_future_holds_its_body_once() {
    let call = large();
    assert!(size_of_val(&call) < 1024 + 128, "{} bytes", size_of_val(&call));
    assert_eq!(call.await.unwrap(), 1024);
}

#[timeout_async(secs = 2, name = "plain.around_the_same")]
async fn around_the_same() -> io::Result<()> {
    the_same().await
}

#[timeout_async(secs = 2, name = "plain.the_same")]
async fn the_same() -> io::Result<()> {
    pending().await
}

#[tokio::test]
async fn of_two_limits_that_pass_at_the_same_instant_it_is_the_callers() {
    // Calls in numbers: those that follow go by what is known of the first one of their tick, alone or with their callers.
    let (mut alone, mut calls) = (Vec::new(), Vec::new());
    for round in 0..30 {
        for call in 0..500 {
            let _ = counted_apart(call).await;
        }
        alone.push(tokio::spawn(the_same()));
        calls.extend((0..10).map(|_| tokio::spawn(around_the_same())));
        tokio::time::sleep(Duration::from_millis(round % 7)).await;
    }
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with("`plain.around_the_same` did not"), "{error}");
    }
    for call in alone {
        call.await.unwrap().unwrap_err();
    }
    let inner = common::stats("plain.the_same");
    assert_eq!((inner.outcome(Outcome::Timeout), inner.outcome(Outcome::Cancelled)), (30, 300));
}

#[timeout_async(secs = 30, name = "plain.counted_apart")]
async fn counted_apart(round: u32) -> io::Result<u32> {
    Ok(round)
}

#[timeout_async(secs = 60, idle_secs = 1, name = "plain.lives_by_its_calls")]
async fn lives_by_its_calls(wait_inside: bool) -> io::Result<()> {
    for _ in 0..6 {
        if !wait_inside {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        sign_of_life(wait_inside).await?;
    }
    Ok(())
}

#[timeout_async(secs = 30, name = "plain.sign_of_life")]
async fn sign_of_life(wait: bool) -> io::Result<()> {
    if wait {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_call_inside_that_succeeds_is_a_sign_of_life_at_its_first_poll_and_at_a_later_one() {
    let (ready, waiting) = tokio::join!(lives_by_its_calls(false), lives_by_its_calls(true));
    ready.unwrap();
    waiting.unwrap();
}
