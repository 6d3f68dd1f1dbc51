//! Guarded calls under what polls several futures at once: `select!`, `join!`, `FuturesUnordered`, streams.

mod common;

use std::cell::RefCell;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use backstop::{Outcome, TimeoutError, timeout_async};
use common::ended;
use common::step::Stepped;
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The function whose limit it was.
fn whose(error: &io::Error) -> &'static str {
    error.get_ref().and_then(|inner| inner.downcast_ref::<TimeoutError>()).expect("a timeout").function()
}

#[timeout_async(secs = 10, name = "combinators.loses")]
async fn loses() -> io::Result<()> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn the_branch_of_a_select_that_loses_is_cancelled() {
    tokio::select! {
        result = loses() => panic!("{result:?}"),
        () = sleep(secs(1)) => {}
    }
    assert_eq!((ended("combinators.loses", Outcome::Cancelled), common::stats("combinators.loses").in_flight), (1, 0));
    sleep(secs(20)).await;
    assert_eq!(ended("combinators.loses", Outcome::Timeout), 0);
}

#[timeout_async(secs = 10, name = "combinators.looped")]
async fn looped() -> io::Result<()> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_select_in_a_loop_borrows_keeps_its_limit() {
    let (before, mut ticks) = (Instant::now(), 0);
    let mut call = std::pin::pin!(looped());
    let error = loop {
        tokio::select! {
            result = &mut call => break result.unwrap_err(),
            () = sleep(secs(3)) => ticks += 1,
        }
    };
    assert_eq!((whose(&error), ticks, before.elapsed()), ("combinators.looped", 3, secs(10)));
}

#[timeout_async(secs = 1, name = "combinators.short")]
async fn short() -> io::Result<()> {
    pending().await
}

#[timeout_async(secs = 2, name = "combinators.long")]
async fn long() -> io::Result<()> {
    pending().await
}

#[timeout_async(secs = 60, name = "combinators.both")]
async fn both() -> io::Result<(io::Error, io::Error)> {
    let (short, long) = tokio::join!(short(), long());
    Ok((short.unwrap_err(), long.unwrap_err()))
}

#[tokio::test(start_paused = true)]
async fn joined_calls_each_have_their_own_limit_and_the_same_caller() {
    let mut call = Stepped::new(both());
    call.pending();
    let calls = backstop::snapshot().calls;
    let depth = |name: &str| calls.iter().find(|call| call.function == name).unwrap_or_else(|| panic!("{name} runs")).depth;
    assert_eq!((depth("combinators.both"), depth("combinators.short"), depth("combinators.long")), (0, 1, 1));
    drop(call);
    let before = Instant::now();
    let (one, two) = both().await.unwrap();
    assert_eq!((whose(&one), whose(&two), before.elapsed()), ("combinators.short", "combinators.long", secs(2)));
}

#[tokio::test(start_paused = true)]
async fn try_join_cancels_the_others_when_one_fails() {
    let fails = async { Err::<(), _>(io::Error::other("no quote")) };
    assert!(tokio::try_join!(one_of_two(), fails).is_err());
    assert_eq!(ended("combinators.one_of_two", Outcome::Cancelled), 1);
}

#[timeout_async(secs = 10, name = "combinators.one_of_two")]
async fn one_of_two() -> io::Result<()> {
    pending().await
}

#[timeout_async(secs = 50, name = "combinators.one_of_many")]
async fn one_of_many(length: u64) -> io::Result<u64> {
    sleep(secs(length)).await;
    Ok(length)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_in_futures_unordered_end_each_at_its_own_time() {
    let before = Instant::now();
    let calls: FuturesUnordered<_> = (1..=100).rev().map(one_of_many).collect();
    let ends: Vec<_> = calls.map(|result| (result.ok(), before.elapsed().as_secs())).collect().await;
    for (place, end) in (1_u64..).zip(&ends[..49]) {
        assert_eq!(*end, (Some(place), place));
    }
    // At 50 s one is ready and is heard; the other fifty are over.
    assert_eq!(ends[49..].iter().filter(|(length, at)| *at == 50 && length.is_none()).count(), 50);
    assert_eq!(ended("combinators.one_of_many", Outcome::Timeout), 50);
    assert_eq!(common::stats("combinators.one_of_many").in_flight, 0);
}

#[timeout_async(secs = 5, name = "combinators.page")]
async fn page(number: u64) -> io::Result<u64> {
    sleep(secs(if number == 7 { 60 } else { 4 })).await;
    Ok(number)
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_stream_has_a_limit_of_its_own() {
    let before = Instant::now();
    let mut pages = Box::pin(stream::iter(1..).then(page));
    let good: Vec<_> = pages.by_ref().take(6).try_collect().await.unwrap();
    assert_eq!((good, before.elapsed()), (vec![1, 2, 3, 4, 5, 6], secs(24)));
    assert_eq!(whose(&pages.next().await.unwrap().unwrap_err()), "combinators.page");
    assert_eq!(pages.next().await.unwrap().unwrap(), 8, "the stream goes on after a limit");
}

#[timeout_async(secs = 5, name = "combinators.buffered")]
async fn buffered(length: u64) -> io::Result<u64> {
    sleep(secs(length)).await;
    sleep(secs(1)).await;
    Ok(length)
}

#[tokio::test(start_paused = true)]
async fn a_call_in_a_buffer_grows_older_while_nobody_polls_it() {
    let mut calls = std::pin::pin!(stream::iter([1, 4, 1]).map(buffered).buffered(2));
    assert_eq!(calls.next().await.unwrap().unwrap(), 1);
    // The consumer works for a while; the second call has begun, the third has not.
    sleep(secs(30)).await;
    assert_eq!(whose(&calls.next().await.unwrap().unwrap_err()), "combinators.buffered");
    assert_eq!(calls.next().await.unwrap().unwrap(), 1, "a limit counts from the first poll");
}

#[timeout_async(secs = 10, name = "combinators.dropped_by_another")]
async fn dropped_by_another() -> io::Result<()> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn a_call_that_another_branch_drops_while_that_is_polled_is_cancelled() {
    type Slot = Rc<RefCell<Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>>>;
    #[timeout_async(secs = 5, name = "combinators.drops_another")]
    async fn drops_another(slot: Slot) -> io::Result<()> {
        sleep(secs(1)).await;
        drop(slot.borrow_mut().take());
        sleep(secs(1)).await;
        Ok(())
    }
    let slot: Slot = Rc::new(RefCell::new(Some(Box::pin(dropped_by_another()))));
    let polls = slot.clone();
    let other = std::future::poll_fn(move |cx| match polls.borrow_mut().as_mut() {
        Some(call) => call.as_mut().poll(cx).map(|_| ()),
        None => std::task::Poll::Ready(()),
    });
    let (dropped, ()) = tokio::join!(drops_another(slot), other);
    dropped.unwrap();
    assert_eq!(ended("combinators.dropped_by_another", Outcome::Cancelled), 1);
    assert_eq!(ended("combinators.drops_another", Outcome::Ok), 1);
    assert_eq!(common::stats("combinators.dropped_by_another").in_flight, 0);
}

#[timeout_async(secs = 10, name = "combinators.takes_a_call")]
async fn takes_a_call(call: impl Future<Output = io::Result<Option<Duration>>>) -> io::Result<Option<Duration>> {
    sleep(secs(4)).await;
    call.await
}

#[timeout_async(secs = 60, name = "combinators.made_elsewhere")]
async fn made_elsewhere() -> io::Result<Option<Duration>> {
    Ok(backstop::remaining())
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_who_polls_first_not_who_made_the_future() {
    let call = made_elsewhere();
    sleep(secs(100)).await;
    assert_eq!(takes_a_call(call).await.unwrap(), Some(secs(6)));
}
