//! Retry, breaker, rate limit and bulkhead around a call, on tokio's paused clock.

mod common;

use std::cell::RefCell;
use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backstop::{Outcome, Rejection, TimeoutError, TimeoutKind, timeout_async};
use common::{Gate, ended};
use tokio::time::{Instant, sleep};

fn install() {
    common::install(
        r#"
        [defaults]
        timeout = "500ms"

        [functions."layers.hangs"]
        retry = { attempts = 3, initial = "none" }

        [functions."layers.fails"]
        retry = { initial = "100ms", jitter = false }

        [functions."layers.hangs_unlisted"]
        retry = { attempts = 3, on = ["error"] }

        [functions."layers.out_of_budget"]
        total = "1s"
        retry = { attempts = 2, initial = "800ms", max = "800ms", jitter = false }

        [functions."layers.only_reports"]
        on_timeout = "warn"

        [functions."layers.paced"]
        rate_limit = { permits = 2, per = "1s", wait = "1s" }

        [functions."layers.one_by_one"]
        timeout = "1s"
        concurrency = 1

        [functions."layers.queues"]
        concurrency = 1

        [functions."layers.gives_its_seat_up"]
        concurrency = 1
        retry = { attempts = 2, initial = "1s", jitter = false }

        [functions."layers.gives_up"]
        retry = { attempts = 3, initial = "100ms", max = "100ms", jitter = false, on = ["rejected"] }

        [functions."layers.notes_its_begin"]
        retry = { attempts = 2, initial = "100ms", jitter = false }

        [functions."layers.silent_in_turn"]
        timeout = "20s"
        idle = "1s"
        rate_limit = { permits = 1, per = "5s", wait = "10s" }

        [functions."layers.carried"]
        rate_limit = { permits = 1, per = "5s", wait = "10s" }

        [functions."layers.reports_only"]
        on_timeout = "warn"

        [functions."layers.silent_in_line"]
        timeout = "20s"
        idle = "1s"
        concurrency = 1

        [functions."layers.silent_once_seated"]
        timeout = "20s"
        idle = "1s"
        concurrency = 1

        [functions."layers.blocks"]
        timeout = "400ms"
        concurrency = 1
        breaker = { failures = 2, window = "60s", open = "60s" }
        "#,
    );
}

/// The timeout in an I/O error.
fn cause(error: &io::Error) -> &TimeoutError {
    error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap_or_else(|| panic!("no timeout: {error}"))
}

#[timeout_async(name = "layers.hangs", retry)]
async fn hangs(calls: &AtomicU32) -> io::Result<()> {
    calls.fetch_add(1, Ordering::Relaxed);
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_an_attempt_begins_anew_with_each() {
    install();
    let (calls, before) = (AtomicU32::new(0), Instant::now());
    let error = hangs(&calls).await.unwrap_err();
    assert_eq!((calls.into_inner(), before.elapsed().as_millis() / 10), (3, 150));
    assert_eq!((cause(&error).attempt(), cause(&error).attempts()), (3, 3));
    assert_eq!(ended("layers.hangs", Outcome::Timeout), 1);
}

#[timeout_async(name = "layers.fails", retry = 5)]
async fn fails(calls: &AtomicU32) -> io::Result<()> {
    calls.fetch_add(1, Ordering::Relaxed);
    Err(io::Error::other("no quote"))
}

#[tokio::test(start_paused = true)]
async fn five_retries_are_six_calls_and_the_bodys_own_error_comes_through() {
    install();
    let (calls, before) = (AtomicU32::new(0), Instant::now());
    assert_eq!(fails(&calls).await.unwrap_err().to_string(), "no quote");
    assert_eq!(calls.into_inner(), 6);
    // 100, 200, 400, 800 and 1600 ms.
    assert_eq!(before.elapsed().as_millis() / 100, 31);
}

#[timeout_async(retry, name = "layers.notes_its_begin")]
fn notes_its_begin(begins: &RefCell<Vec<(u128, bool)>>, before: Instant) -> impl Future<Output = io::Result<()>> {
    begins.borrow_mut().push((before.elapsed().as_millis(), backstop::remaining().is_some()));
    async { Err(io::ErrorKind::NotFound.into()) }
}

#[tokio::test(start_paused = true)]
async fn what_a_function_does_before_it_returns_its_future_belongs_to_the_attempt() {
    install();
    let begins = RefCell::default();
    assert_eq!(notes_its_begin(&begins, Instant::now()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(begins.into_inner(), [(0, true), (100, true)]);
}

#[timeout_async(name = "layers.hangs_unlisted", retry)]
async fn hangs_unlisted(calls: &AtomicU32) -> io::Result<()> {
    calls.fetch_add(1, Ordering::Relaxed);
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_not_listed_is_not_tried_again() {
    install();
    let calls = AtomicU32::new(0);
    hangs_unlisted(&calls).await.unwrap_err();
    assert_eq!(calls.into_inner(), 1);
}

#[timeout_async(name = "layers.out_of_budget", retry)]
async fn out_of_budget() -> io::Result<()> {
    sleep(Duration::from_millis(300)).await;
    Err(io::Error::other("no quote"))
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_whole_call_has_no_time_for_is_not_slept() {
    install();
    let before = Instant::now();
    assert_eq!(out_of_budget().await.unwrap_err().to_string(), "no quote");
    assert_eq!(before.elapsed().as_millis() / 10, 30);
}

#[timeout_async(name = "layers.gives_up", retry)]
async fn gives_up() -> io::Result<()> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_refused_is_one_of_those_that_there_are() {
    install();
    backstop::fence("layers.gives_up").unwrap();
    let before = Instant::now();
    let refused = gives_up().await.unwrap_err();
    backstop::unfence("layers.gives_up").unwrap();
    assert_eq!(cause(&refused).kind(), TimeoutKind::Rejected(Rejection::Fenced));
    assert_eq!((cause(&refused).attempt(), cause(&refused).attempts()), (3, 3));
    assert_eq!(before.elapsed().as_millis() / 10, 20, "two pauses");
}

#[timeout_async(name = "layers.silent_in_turn")]
async fn silent_in_turn() -> io::Result<()> {
    sleep(Duration::from_millis(500)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_ones_turn_is_no_silence_of_the_body() {
    install();
    let results = join_all([silent_in_turn(), silent_in_turn()]).await;
    results.into_iter().for_each(|result| result.unwrap());
}

#[timeout_async(name = "layers.paced")]
async fn paced(began: Instant) -> io::Result<u128> {
    Ok(began.elapsed().as_millis() / 10)
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_rate_wait_for_their_turn_or_are_refused() {
    install();
    let now = Instant::now();
    let calls = [paced(now), paced(now), paced(now), paced(now), paced(now)];
    let results: Vec<_> = join_all(calls).await;
    let starts: Vec<_> = results[..4].iter().map(|result| *result.as_ref().unwrap()).collect();
    assert_eq!(starts, [0, 0, 50, 100]);
    assert_eq!(cause(results[4].as_ref().unwrap_err()).kind(), TimeoutKind::Rejected(Rejection::RateLimited));
}

#[timeout_async(name = "layers.one_by_one")]
async fn one_by_one(inside: &AtomicU32, starts: &AtomicU32) -> io::Result<u32> {
    starts.fetch_add(1, Ordering::Relaxed);
    let others = inside.fetch_add(1, Ordering::Relaxed);
    sleep(Duration::from_millis(600)).await;
    inside.fetch_sub(1, Ordering::Relaxed);
    Ok(others)
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_seat_beyond_its_limit_never_starts() {
    install();
    let (inside, starts) = (AtomicU32::new(0), AtomicU32::new(0));
    let results = join_all([one_by_one(&inside, &starts), one_by_one(&inside, &starts)]).await;
    assert_eq!(results[0].as_ref().unwrap(), &0);
    // Its limit of a second began when it queued; 400 ms were left when its turn came.
    assert_eq!(cause(results[1].as_ref().unwrap_err()).kind(), TimeoutKind::Limit);
    let before = starts.load(Ordering::Relaxed);
    let calls = [one_by_one(&inside, &starts), one_by_one(&inside, &starts), one_by_one(&inside, &starts)];
    let ok = join_all(calls).await.iter().filter(|result| result.is_ok()).count();
    assert_eq!((ok, starts.load(Ordering::Relaxed) - before), (1, 2), "the third was still in line at its limit");
}

#[timeout_async(name = "layers.gives_its_seat_up", retry)]
async fn gives_its_seat_up(fail: bool, began: Instant) -> io::Result<u128> {
    if fail && began.elapsed() < Duration::from_millis(500) {
        return Err(io::Error::other("no quote"));
    }
    Ok(began.elapsed().as_millis() / 100)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_pauses_before_its_retry_holds_no_seat() {
    install();
    let now = Instant::now();
    let results = join_all([gives_its_seat_up(true, now), gives_its_seat_up(false, now)]).await;
    let ends: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(ends, [10, 0]);
}

static BLOCKED: Gate = Gate::new();

#[timeout_async(isolate, name = "layers.blocks")]
async fn blocks(starts: Arc<AtomicU32>) -> io::Result<()> {
    starts.fetch_add(1, Ordering::Relaxed);
    BLOCKED.pass();
    Ok(())
}

/// On the wall clock: a real thread is blocked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_outlives_its_caller_keeps_its_seat_and_who_waits_for_it_is_no_failure() {
    install();
    let starts = Arc::new(AtomicU32::new(0));
    for begun in [true, false, false] {
        let error = blocks(Arc::clone(&starts)).await.unwrap_err();
        assert_eq!((cause(&error).kind(), cause(&error).source().is_none()), (TimeoutKind::Limit, begun), "{error}");
        let why = cause(&error).source().map(ToString::to_string);
        assert!(why.is_none_or(|why| why.contains("concurrency = 1")));
    }
    assert_eq!(starts.load(Ordering::Relaxed), 1);
    BLOCKED.open();
    let before = Instant::now();
    while blocks(Arc::clone(&starts)).await.is_err_and(|error| cause(&error).source().is_some()) {
        assert!(before.elapsed() < Duration::from_secs(60), "its seat is free again");
    }
    assert_eq!(ended("layers.blocks", Outcome::Rejected), 0, "one failure opens no breaker");
}

#[timeout_async(name = "layers.carried")]
async fn carried() -> io::Result<()> {
    Ok(())
}

#[timeout_async(secs = 1, name = "layers.hands_over")]
async fn hands_over() -> io::Result<io::Error> {
    let [first, second] = [(); 2].map(|()| tokio::spawn(backstop::carry(carried())));
    first.await??;
    Ok(second.await?.unwrap_err())
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_after_the_deadline_of_the_caller_is_none() {
    install();
    assert_eq!(cause(&hands_over().await.unwrap()).kind(), TimeoutKind::Rejected(Rejection::RateLimited));
}

/// Polls all of them in turn, and gives their results in order.
async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(move |cx| {
        for (future, result) in futures.iter_mut().zip(&mut results).filter(|(_, result)| result.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(cx) {
                *result = Some(output);
            }
        }
        match results.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(results.drain(..).flatten().collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

#[timeout_async(secs = 1, name = "layers.only_reports")]
async fn only_reports() -> io::Result<io::Error> {
    Ok(inside().await.unwrap_err())
}

#[timeout_async(secs = 60, name = "layers.inside")]
async fn inside() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 30, name = "layers.around")]
async fn around() -> io::Result<io::Error> {
    tokio::spawn(backstop::carry(only_reports())).await?
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_only_reported_leaves_the_limits_inside_in_force() {
    install();
    let before = Instant::now();
    let error = only_reports().await.unwrap();
    assert_eq!((cause(&error).function(), before.elapsed().as_secs()), ("layers.inside", 60));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_inherited_through_a_call_that_only_reports_its_own() {
    install();
    assert_eq!(cause(&around().await.unwrap_err()).function(), "layers.around");
}

#[timeout_async(secs = 60, name = "layers.queues")]
async fn queues() -> io::Result<()> {
    sleep(Duration::from_secs(1)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_dump_tells_calls_that_wait_for_their_turn_from_those_whose_body_has_begun() {
    install();
    let counts = || {
        let functions = backstop::dump().functions;
        let row = functions.into_iter().find(|row| row.function == "layers.queues").unwrap();
        (row.calls, row.in_flight, row.queued, row.last_queued.is_some())
    };
    let look = async {
        sleep(Duration::from_millis(500)).await;
        counts()
    };
    let (_, seen) = tokio::join!(join_all((0..3).map(|_| queues())), look);
    assert_eq!(seen, (0, 3, 2, true));
    assert_eq!(counts(), (3, 0, 0, true));
}

#[timeout_async(secs = 30, name = "layers.hands_on")]
async fn hands_on() -> io::Result<io::Error> {
    // What the task has to say does not wait for its caller.
    Ok(tokio::spawn(backstop::carry(reports_only())).await?.unwrap())
}

#[timeout_async(secs = 1, name = "layers.reports_only")]
async fn reports_only() -> io::Result<io::Error> {
    Ok(ends_with_the_first().await.unwrap_err())
}

#[timeout_async(secs = 60, name = "layers.ends_with_the_first")]
async fn ends_with_the_first() -> io::Result<()> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_carried_through_a_call_that_only_reports_its_own() {
    install();
    let before = Instant::now();
    assert_eq!(cause(&hands_on().await.unwrap_err()).function(), "layers.hands_on");
    sleep(Duration::from_millis(100)).await;
    assert_eq!((before.elapsed().as_secs(), ended("layers.ends_with_the_first", Outcome::Timeout)), (30, 1));
}

#[timeout_async(name = "layers.silent_in_line")]
async fn silent_in_line() -> io::Result<()> {
    for _ in 0..5 {
        sleep(Duration::from_millis(900)).await;
        backstop::beat();
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_seat_is_no_silence_of_the_body() {
    install();
    let results = join_all([silent_in_line(), silent_in_line()]).await;
    results.into_iter().for_each(|result| result.unwrap());
}

#[timeout_async(name = "layers.silent_once_seated")]
async fn silent_once_seated(beats: u32) -> io::Result<()> {
    for _ in 0..beats {
        sleep(Duration::from_millis(900)).await;
        backstop::beat();
    }
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn the_silence_of_a_body_counts_from_its_beginning() {
    install();
    let before = Instant::now();
    let results = join_all([silent_once_seated(3), silent_once_seated(0)]).await;
    let kinds: Vec<_> = results.into_iter().map(|result| cause(&result.unwrap_err()).kind()).collect();
    assert_eq!(
        (kinds, before.elapsed().as_millis() / 100),
        (vec![TimeoutKind::Idle; 2], 47),
        "2.7 s of beats, and a second of silence each"
    );
}
