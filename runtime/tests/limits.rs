//! The limit of a call, on tokio's paused clock: when it fires, what it says, and when it does not.

mod common;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use backstop::{Outcome, TimeoutError, TimeoutKind, timeout_async};
use common::ended;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// An error of the user's own.
#[derive(Debug)]
enum Failure {
    Timeout(TimeoutError),
    Refused,
}

impl From<TimeoutError> for Failure {
    fn from(error: TimeoutError) -> Self {
        Failure::Timeout(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Error for Failure {}

fn timeout(failure: Failure) -> TimeoutError {
    match failure {
        Failure::Timeout(error) => error,
        Failure::Refused => panic!("the body's own error came through"),
    }
}

#[timeout_async(secs = 1, name = "limits.hangs")]
async fn hangs(guard: Arc<()>) -> Result<(), Failure> {
    sleep(Duration::from_secs(20)).await;
    drop(guard);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_hangs_times_out_at_its_limit_and_is_dropped() {
    let dropped = Arc::new(());
    let before = Instant::now();
    let error = timeout(hangs(Arc::clone(&dropped)).await.unwrap_err());
    assert_eq!(before.elapsed().as_secs(), 1);
    assert_eq!(Arc::strong_count(&dropped), 1, "the body's destructors have run");
    assert_eq!(error.function(), "limits.hangs");
    assert_eq!(error.kind(), TimeoutKind::Limit);
    assert_eq!(error.limit(), Duration::from_secs(1));
    assert!(error.elapsed() >= Duration::from_secs(1));
    assert_eq!((error.attempt(), error.attempts()), (1, 1));
    assert!(format!("{error:?}").starts_with("TimeoutError { function: \"limits.hangs\", kind: Limit, limit: 1s, "), "{error:?}");
    assert!(error.set_by().to_string().contains("limits.rs:"), "{}", error.set_by());
    assert!(error.incident().is_some());
    let text = error.to_string();
    assert!(text.starts_with("`limits.hangs` did not finish within 1s"), "{text}");
}

#[timeout_async(secs = 1, name = "limits.refuses")]
async fn refuses(after: Duration) -> Result<(), Failure> {
    sleep(after).await;
    Err(Failure::Refused)
}

#[tokio::test(start_paused = true)]
async fn the_bodys_own_error_before_the_limit_comes_through_unchanged() {
    assert!(matches!(refuses(Duration::from_millis(10)).await, Err(Failure::Refused)));
    assert_eq!(ended("limits.refuses", Outcome::Error), 1);
    assert_eq!(ended("limits.refuses", Outcome::Timeout), 0);
}

#[timeout_async(millis = 100, name = "limits.fails_late")]
async fn fails_late() -> Result<(), Failure> {
    tokio::time::advance(Duration::from_millis(150)).await;
    Err(Failure::Refused)
}

#[tokio::test(start_paused = true)]
async fn an_inner_error_after_the_deadline_is_a_timeout_whose_source_is_that_error() {
    for _ in 0..1000 {
        let error = timeout(fails_late().await.unwrap_err());
        assert_eq!(error.kind(), TimeoutKind::Limit);
        assert_eq!(error.source().expect("the body is heard a last time").to_string(), "Refused");
    }
    assert_eq!(ended("limits.fails_late", Outcome::Timeout), 1000);
}

#[timeout_async(millis = 50, name = "limits.heard")]
async fn heard(answer: oneshot::Receiver<()>) -> Result<(), Failure> {
    let _ = answer.await;
    Err(Failure::Refused)
}

#[tokio::test]
async fn what_a_body_says_at_its_deadline_is_heard_by_the_wall_clock_too() {
    let (tell, answer) = oneshot::channel();
    let call = tokio::spawn(heard(answer));
    tokio::task::yield_now().await;
    // Its deadline passes, and then its body has something to say, before it is polled again.
    std::thread::sleep(Duration::from_millis(300));
    tell.send(()).unwrap();
    let error = timeout(call.await.unwrap().unwrap_err());
    assert_eq!(error.source().expect("the body is heard a last time").to_string(), "Refused");
}

#[timeout_async(secs = 1, name = "limits.dropped")]
async fn dropped() -> Result<(), Failure> {
    sleep(Duration::from_secs(20)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_drops_the_future_cancels_and_never_times_out() {
    assert!(tokio::time::timeout(Duration::from_millis(50), dropped()).await.is_err());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(ended("limits.dropped", Outcome::Cancelled), 1);
    assert_eq!(ended("limits.dropped", Outcome::Timeout), 0);
    assert_eq!(common::stats("limits.dropped").in_flight, 0);
}

#[timeout_async(secs = 1, name = "limits.outer")]
async fn outer() -> Result<(), Failure> {
    inner().await
}

#[timeout_async(secs = 5, name = "limits.inner")]
async fn inner() -> Result<(), Failure> {
    assert!(backstop::remaining().unwrap() <= Duration::from_secs(1), "the caller's deadline is the earlier one");
    sleep(Duration::from_secs(20)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_earlier_deadline_of_a_caller_is_the_callers_timeout() {
    let error = timeout(outer().await.unwrap_err());
    assert_eq!(error.function(), "limits.outer");
    assert_eq!(ended("limits.outer", Outcome::Timeout), 1);
    assert_eq!(ended("limits.inner", Outcome::Cancelled), 1);
    assert_eq!(ended("limits.inner", Outcome::Timeout), 0);
}

#[timeout_async(secs = 2, name = "limits.spawns")]
async fn spawns() -> Result<(), Failure> {
    let task = tokio::spawn(backstop::carry(inner_task()));
    assert!(tokio::spawn(async { backstop::remaining() }).await.unwrap().is_none(), "without carry there is no deadline");
    task.await.unwrap()
}

#[timeout_async(secs = 50, name = "limits.inner_task")]
async fn inner_task() -> Result<(), Failure> {
    sleep(Duration::from_secs(20)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_carried_deadline_ends_the_task_and_names_the_caller() {
    let before = Instant::now();
    let error = timeout(spawns().await.unwrap_err());
    assert_eq!(error.function(), "limits.spawns");
    assert_eq!(before.elapsed().as_secs(), 2);
    tokio::task::yield_now().await;
    assert_eq!(ended("limits.inner_task", Outcome::Timeout), 1);
}

#[timeout_async(secs = 1, on_timeout = gave_up, name = "limits.plain")]
async fn plain() -> u32 {
    sleep(Duration::from_secs(20)).await;
    7
}

fn gave_up(error: TimeoutError) -> u32 {
    assert_eq!(error.kind(), TimeoutKind::Limit);
    0
}

#[tokio::test(start_paused = true)]
async fn a_function_without_result_returns_what_on_timeout_says() {
    assert_eq!(plain().await, 0);
}

#[timeout_async(secs = 1, name = "limits.panics")]
async fn panics() -> io::Result<()> {
    sleep(Duration::from_millis(1)).await;
    panic!("on purpose");
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_to_the_caller_and_is_counted() {
    let panic = tokio::spawn(panics()).await.unwrap_err();
    assert!(panic.is_panic());
    assert_eq!(ended("limits.panics", Outcome::Panicked), 1);
}

#[timeout_async(millis = 50, grace_secs = 10, name = "limits.tidies")]
async fn tidies(after: Duration) -> io::Result<&'static str> {
    backstop::cancelled().await;
    sleep(after).await;
    Ok("tidy")
}

#[tokio::test(start_paused = true)]
async fn a_body_may_tidy_up_until_its_grace_is_over() {
    assert_eq!(tidies(Duration::from_secs(2)).await.unwrap(), "tidy");
    assert_eq!(ended("limits.tidies", Outcome::Late), 1);
    let before = Instant::now();
    assert_eq!(tidies(Duration::from_secs(60)).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(before.elapsed().as_secs(), 10);
}

#[timeout_async(millis = 50, retry = 1, name = "limits.step")]
async fn step() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 3600, grace_secs = 5, name = "limits.trains")]
async fn trains() -> io::Result<&'static str> {
    for _ in 0..3 {
        tokio::select! {
            () = backstop::cancelled() => return Ok("stopped"),
            _ = step() => {}
        }
    }
    Ok("trained")
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_an_inner_call_does_not_ask_its_caller_to_stop() {
    assert_eq!(trains().await.unwrap(), "trained");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_leave_no_record_behind() {
    for _ in 0..100 {
        let calls = (0..100).map(|_| tokio::spawn(async { hangs(Arc::new(())).await.unwrap_err() }));
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    }
    let own = backstop::snapshot().calls.iter().filter(|call| call.function == "limits.hangs").count();
    assert!(own <= 1, "only the other test's call may be running");
}

#[timeout_async(secs = 1, grace_secs = 5, name = "limits.hands_over_with_a_grace")]
async fn hands_over_with_a_grace() -> io::Result<&'static str> {
    tokio::spawn(backstop::carry(saves())).await?
}

#[timeout_async(secs = 60, name = "limits.saves")]
async fn saves() -> io::Result<&'static str> {
    assert!(!backstop::is_cancelled());
    backstop::cancelled().await;
    assert!(backstop::is_cancelled());
    sleep(Duration::from_secs(3)).await;
    Ok("saved")
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_carried_comes_with_its_grace() {
    let before = Instant::now();
    assert_eq!(hands_over_with_a_grace().await.unwrap(), "saved");
    assert_eq!(before.elapsed().as_secs(), 4);
}

/// Ends at once; its tasks run on.
#[timeout_async(secs = 2, name = "limits.hands_over_many")]
async fn hands_over_many() -> io::Result<JoinSet<io::Result<()>>> {
    Ok((0..3).map(|_| backstop::carry(hangs_in_a_set())).collect())
}

#[timeout_async(secs = 50, name = "limits.hangs_in_a_set")]
async fn hangs_in_a_set() -> io::Result<()> {
    assert_eq!(backstop::deadline().unwrap().duration_since(Instant::now().into_std()).as_millis().div_ceil(10), 200);
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_carried_into_a_join_set_and_the_error_says_who_set_it() {
    let before = Instant::now();
    let ends = hands_over_many().await.unwrap().join_all().await;
    assert_eq!((ends.len(), before.elapsed().as_secs()), (3, 2));
    for error in ends.into_iter().map(Result::unwrap_err).map(|error| error.to_string()) {
        assert!(error.starts_with("`limits.hands_over_many` did not finish within 2s"), "{error}");
        assert!(error.contains("limit set by caller (attribute"), "{error}");
    }
}
