//! Guarded calls that change threads, tasks and runtimes. Threads are real here, and so is the time.

mod common;

use std::cell::RefCell;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use backstop::{Outcome, TimeoutError, timeout_async};
use common::step::Stepped;
use common::{ended, stats};
use futures::executor::block_on;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{LocalSet, spawn_blocking, yield_now};

/// Far beyond every limit here, for machines that are busy.
const PATIENCE: Duration = Duration::from_secs(20);

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

/// The function whose limit it was.
fn whose(error: &io::Error) -> &'static str {
    error.get_ref().and_then(|inner| inner.downcast_ref::<TimeoutError>()).expect("a timeout").function()
}

#[timeout_async(secs = 1, name = "threads.moved")]
async fn moved() -> io::Result<()> {
    pending().await
}

#[test]
fn a_call_that_is_polled_on_one_thread_after_the_other_wakes_who_polled_it_last() {
    let mut call = Stepped::new(moved());
    call.pending();
    let call = thread::spawn(move || {
        call.pending();
        call
    });
    let mut call = call.join().unwrap();
    let before = Instant::now();
    while !call.is_woken() {
        assert!(before.elapsed() < PATIENCE, "the watchdog wakes the last waker");
        thread::sleep(Duration::from_millis(5));
    }
    let error = thread::spawn(move || call.ready().unwrap_err()).join().unwrap();
    assert_eq!(whose(&error), "threads.moved");
}

#[timeout_async(secs = 60, name = "threads.outer")]
async fn outer(hops: u32) -> io::Result<u32> {
    let mut inside = 0;
    for _ in 0..hops {
        yield_now().await;
        inside += u32::from(backstop::remaining().is_some_and(|left| left > Duration::from_secs(50)));
        inside += inner().await?;
    }
    Ok(inside)
}

#[timeout_async(secs = 600, name = "threads.inner")]
async fn inner() -> io::Result<u32> {
    yield_now().await;
    Ok(u32::from(backstop::remaining().is_some_and(|left| left <= Duration::from_secs(60))))
}

#[test]
fn a_task_that_workers_steal_from_each_other_stays_in_its_own_call() {
    runtime(4).block_on(async {
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                tokio::spawn(async {
                    let inside = outer(200).await.unwrap();
                    (inside, backstop::remaining())
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), (400, None), "inside in every poll, outside after the last");
        }
    });
    assert_eq!((ended("threads.outer", Outcome::Ok), ended("threads.inner", Outcome::Ok)), (32, 32 * 200));
}

#[timeout_async(millis = 200, name = "threads.not_send")]
async fn not_send(alive: Rc<()>) -> io::Result<()> {
    pending::<()>().await;
    drop(alive);
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_not_send_has_its_limit_in_a_local_set() {
    let alive = Rc::new(());
    let local = LocalSet::new();
    let task = local.spawn_local(not_send(alive.clone()));
    let error = local.run_until(task).await.unwrap().unwrap_err();
    assert_eq!((whose(&error), Rc::strong_count(&alive)), ("threads.not_send", 1));
}

#[timeout_async(secs = 60, name = "threads.left_in_a_local_set")]
async fn left_in_a_local_set() -> io::Result<()> {
    pending().await
}

#[tokio::test]
async fn a_local_set_that_is_dropped_cancels_its_calls() {
    let local = LocalSet::new();
    local.spawn_local(left_in_a_local_set());
    local.run_until(yield_now()).await;
    assert_eq!(stats("threads.left_in_a_local_set").in_flight, 1);
    drop(local);
    assert_eq!(ended("threads.left_in_a_local_set", Outcome::Cancelled), 1);
}

#[timeout_async(millis = 300, name = "threads.waits_for_a_thread")]
async fn waits_for_a_thread() -> io::Result<io::Error> {
    let handle = Handle::current();
    let work = backstop::carry_blocking(move || handle.block_on(in_a_blocking_thread()).unwrap_err());
    // The caller does not wait: it is the deadline which was carried that ends the call in the thread.
    let (sender, receiver) = mpsc::channel();
    spawn_blocking(move || sender.send(work()));
    thread::spawn(move || receiver.recv_timeout(PATIENCE).unwrap()).join().map_err(|_| io::Error::other("it never ended"))
}

#[timeout_async(secs = 600, name = "threads.in_a_blocking_thread")]
async fn in_a_blocking_thread() -> io::Result<()> {
    pending().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn block_on_in_a_blocking_thread_has_the_deadline_that_was_carried_there() {
    let error = waits_for_a_thread().await.unwrap();
    assert_eq!(whose(&error), "threads.waits_for_a_thread");
    assert_eq!(ended("threads.in_a_blocking_thread", Outcome::Timeout), 1);
}

#[timeout_async(secs = 60, name = "threads.blocks_inside")]
async fn blocks_inside() -> io::Result<(bool, bool)> {
    let inside = tokio::task::block_in_place(|| Handle::current().block_on(blocked_on()))?;
    Ok((inside, backstop::remaining().is_some_and(|left| left > Duration::from_secs(30))))
}

#[timeout_async(secs = 600, name = "threads.blocked_on")]
async fn blocked_on() -> io::Result<bool> {
    yield_now().await;
    Ok(backstop::remaining().is_some_and(|left| left <= Duration::from_secs(60)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn block_on_inside_a_body_runs_inside_its_call_and_leaves_it_in_place() {
    assert_eq!(blocks_inside().await.unwrap(), (true, true));
}

#[timeout_async(millis = 300, name = "threads.in_two_runtimes")]
async fn in_two_runtimes() -> io::Result<()> {
    pending().await
}

#[test]
fn a_call_outlives_the_runtime_that_polled_it_first_and_keeps_its_limit_in_another() {
    let (first, second) = (runtime(1), runtime(1));
    let mut call = Box::pin(in_two_runtimes());
    first.block_on(async { assert!(poll_once(call.as_mut()).await.is_pending()) });
    drop(first);
    assert_eq!(whose(&second.block_on(call).unwrap_err()), "threads.in_two_runtimes");
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx: &mut Context<'_>| Poll::Ready(future.as_mut().poll(cx))).await
}

#[timeout_async(secs = 60, name = "threads.in_the_first")]
async fn in_the_first() -> io::Result<()> {
    pending().await
}

#[timeout_async(millis = 500, name = "threads.in_the_second")]
async fn in_the_second() -> io::Result<()> {
    pending().await
}

#[test]
fn the_end_of_one_runtime_touches_no_call_of_another() {
    let (first, second) = (runtime(2), runtime(2));
    for _ in 0..20 {
        first.spawn(in_the_first());
    }
    let before = Instant::now();
    while stats("threads.in_the_first").in_flight < 20 {
        assert!(before.elapsed() < PATIENCE);
        thread::yield_now();
    }
    let calls: Vec<_> = (0..20).map(|_| second.spawn(in_the_second())).collect();
    drop(first);
    assert_eq!(ended("threads.in_the_first", Outcome::Cancelled), 20);
    for call in calls {
        assert_eq!(whose(&second.block_on(call).unwrap().unwrap_err()), "threads.in_the_second");
    }
}

#[timeout_async(secs = 60, name = "threads.aborted")]
async fn aborted(begun: mpsc::Sender<()>, go_on: mpsc::Receiver<()>) -> io::Result<()> {
    begun.send(()).unwrap();
    // Holds its thread: it is being polled while another thread aborts it.
    let _ = go_on.recv_timeout(PATIENCE);
    pending().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_aborted_while_it_is_polled_is_cancelled_once_when_the_poll_returns() {
    let ((begun, begins), (goes_on, go_on)) = (mpsc::channel(), mpsc::channel());
    let task = tokio::spawn(aborted(begun, go_on));
    spawn_blocking(move || begins.recv_timeout(PATIENCE).unwrap()).await.unwrap();
    task.abort();
    assert_eq!(stats("threads.aborted").in_flight, 1, "nobody can take a future from the thread that polls it");
    goes_on.send(()).unwrap();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!((ended("threads.aborted", Outcome::Cancelled), stats("threads.aborted").in_flight), (1, 0));
}

#[timeout_async(secs = 60, name = "threads.ends_with_its_thread")]
async fn ends_with_its_thread() -> io::Result<()> {
    pending().await
}

type Kept = RefCell<Option<Stepped<Pin<Box<dyn Future<Output = io::Result<()>>>>>>>;

thread_local!(static KEPT: Kept = const { Kept::new(None) });

#[test]
fn a_call_that_a_threads_end_drops_is_cancelled() {
    thread::spawn(|| {
        // Before the library's own thread-locals: it is dropped after they are.
        KEPT.with_borrow_mut(|kept| kept.insert(Stepped::new(Box::pin(ends_with_its_thread()))).pending());
    })
    .join()
    .unwrap();
    assert_eq!(ended("threads.ends_with_its_thread", Outcome::Cancelled), 1);
    assert_eq!(stats("threads.ends_with_its_thread").in_flight, 0);
}

struct CallsWhenDropped;

impl Drop for CallsWhenDropped {
    fn drop(&mut self) {
        let mut call = Stepped::new(called_at_the_end());
        call.pending();
        assert_eq!(call.ready().unwrap(), 7);
    }
}

#[timeout_async(secs = 60, name = "threads.called_at_the_end")]
async fn called_at_the_end() -> io::Result<u32> {
    yield_now().await;
    Ok(7)
}

thread_local!(static CALLS: CallsWhenDropped = const { CallsWhenDropped });

#[test]
fn a_call_that_is_made_while_its_thread_ends_works() {
    thread::spawn(|| {
        // Before the library's own: it is dropped after they are.
        CALLS.with(|_| ());
        block_on(called_at_the_end()).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(ended("threads.called_at_the_end", Outcome::Ok), 2);
}

#[timeout_async(secs = 60, name = "threads.called_while_unwinding")]
async fn called_while_unwinding() -> io::Result<u32> {
    yield_now().await;
    Ok(7)
}

#[test]
fn a_call_that_is_made_while_a_panic_unwinds_works() {
    struct Calls;
    impl Drop for Calls {
        fn drop(&mut self) {
            assert_eq!(block_on(called_while_unwinding()).unwrap(), 7);
        }
    }
    let panicked = std::panic::catch_unwind(|| {
        let _calls = Calls;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.is_err());
    assert_eq!(ended("threads.called_while_unwinding", Outcome::Ok), 1);
}

#[timeout_async(millis = 300, isolate, name = "threads.isolated")]
async fn isolated() -> io::Result<()> {
    pending().await
}

#[test]
fn an_isolated_call_outlives_the_runtime_of_its_task_and_keeps_its_limit_in_another() {
    let (first, second) = (runtime(1), runtime(1));
    let mut call = Box::pin(isolated());
    first.block_on(async { assert!(poll_once(call.as_mut()).await.is_pending()) });
    drop(first);
    second.block_on(async { assert!(poll_once(call.as_mut()).await.is_pending(), "its limit has not passed") });
    assert_eq!(whose(&second.block_on(call).unwrap_err()), "threads.isolated");
}
