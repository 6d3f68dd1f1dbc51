//! The deadline of the call that runs here, and how it crosses into another task.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::faults::Faults;
use super::{current, waiting};
use crate::flight::Ticket;

/// The time until the deadline of the call that runs here: its own limit, or an earlier one of a caller.
///
/// Zero when it has passed; `None` outside every guarded call, and where there is no limit.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// #[backstop::timeout_async(secs = 5)]
/// async fn inner() -> std::io::Result<Duration> {
///     Ok(backstop::remaining().unwrap())
/// }
/// #[backstop::timeout_async(secs = 1)]
/// async fn outer() -> std::io::Result<Duration> {
///     inner().await
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert!(outer().await.unwrap() <= Duration::from_secs(1));
/// assert_eq!(backstop::remaining(), None);
/// # }
/// ```
#[must_use]
pub fn remaining() -> Option<Duration> {
    let (deadline, clock) = current::deadline()?;
    Some(deadline.since(clock.now()))
}

/// The deadline of the call that runs here; see [`remaining`].
///
/// Under tokio's paused clock it is an instant of that clock.
#[must_use]
pub fn deadline() -> Option<Instant> {
    Some(current::deadline()?.0.instant())
}

pin_project! {
    /// The future of [`carry`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Carried<F> {
        link: Option<Ticket>,
        faults: Faults,
        #[pin]
        future: F,
    }
}

/// Takes the deadline and the place in the call tree of the call that runs here into another task.
///
/// Guarded calls inside `future` then inherit the deadline, and reports show them under the call that spawned them, also when that call has
/// ended (marked *detached*). Outside every guarded call the future is left as it is.
///
/// # Cancellation
///
/// The caller's end does not end the task: only guarded calls inside it have a deadline.
///
/// # Examples
///
/// ```
/// #[backstop::timeout_async(secs = 1)]
/// async fn parent() -> std::io::Result<bool> {
///     let task = tokio::spawn(backstop::carry(async { backstop::remaining().is_some() }));
///     Ok(task.await.unwrap())
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert!(parent().await.unwrap());
/// # }
/// ```
pub fn carry<F: Future>(future: F) -> Carried<F> {
    Carried { link: current::link(), faults: Faults::here(), future }
}

/// [`carry`] for the closure of `spawn_blocking`.
///
/// Nobody can end blocking work. While it runs on after the call that handed it over has ended, it is an *orphan*: counted in
/// `backstop_orphans`, reported with its thread's stack, and told when it is over. Work that is meant to outlive its caller is not carried.
///
/// # Examples
///
/// ```
/// #[backstop::timeout_async(secs = 1)]
/// async fn parent() -> std::io::Result<bool> {
///     let task = tokio::task::spawn_blocking(backstop::carry_blocking(|| backstop::remaining().is_some()));
///     Ok(task.await.unwrap())
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert!(parent().await.unwrap());
/// # }
/// ```
pub fn carry_blocking<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let (link, handing, faults) = (current::link(), current::handing(), Faults::here());
    move || {
        let _working = handing.and_then(|handing| handing.begin());
        let _entered = link.as_ref().and_then(|link| current::enter(link.record(), waiting::now()));
        faults.during(work)
    }
}

impl<F: Future> Future for Carried<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.link.as_ref().and_then(|link| current::enter(link.record(), waiting::now()));
        this.faults.during(|| this.future.poll(cx))
    }
}
