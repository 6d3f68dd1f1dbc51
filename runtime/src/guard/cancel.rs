//! The polite request to stop, between the limit and the end of the grace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};

use tokio::sync::Notify;

use super::context;

/// A request that is made once and stays made.
#[derive(Default)]
pub(crate) struct Cancel {
    requested: AtomicBool,
    waiting: Notify,
    /// The request of a caller reaches its callees too.
    caller: Option<Arc<Cancel>>,
}

impl Cancel {
    pub(crate) fn within(caller: Option<Arc<Cancel>>) -> Arc<Self> {
        Arc::new(Self { caller, ..Self::default() })
    }

    /// Makes the request.
    pub(crate) fn request(&self) {
        self.requested.store(true, Release);
        self.waiting.notify_waiters();
    }

    fn requested(&self) -> bool {
        self.requested.load(Acquire) || self.caller.as_ref().is_some_and(|caller| caller.requested())
    }

    async fn wait(self: Arc<Self>) {
        let Some(caller) = self.caller.clone() else { return self.wait_alone().await };
        let caller = std::pin::pin!(Box::pin(caller.wait()));
        let own = std::pin::pin!(self.wait_alone());
        either(own, caller).await;
    }

    async fn wait_alone(&self) {
        let notified = self.waiting.notified();
        if !self.requested.load(Acquire) {
            notified.await;
        }
    }
}

/// Waits until the call that it is awaited in should stop: its limit has passed, and its grace runs.
///
/// Without a grace (`grace_secs`, or `grace` in a policy) the body is dropped at its limit, and this never completes; outside every guarded
/// call it never completes either.
///
/// # Cancellation
///
/// Dropping the future withdraws nothing: a later call of this function sees the same request.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// #[backstop::timeout_async(millis = 50, grace_secs = 5)]
/// async fn train() -> std::io::Result<&'static str> {
///     tokio::select! {
///         () = tokio::time::sleep(Duration::from_secs(3600)) => Ok("trained"),
///         () = backstop::cancelled() => Ok("checkpoint saved"),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// tokio::time::pause();
/// assert_eq!(train().await.unwrap(), "checkpoint saved");
/// # }
/// ```
pub async fn cancelled() {
    match context::current().and_then(|context| context.cancel.clone()) {
        Some(cancel) => cancel.wait().await,
        None => std::future::pending().await,
    }
}

/// Whether the call that runs here should stop: what [`cancelled`] waits for, for code that does not await.
#[must_use]
pub fn is_cancelled() -> bool {
    context::current().is_some_and(|context| context.cancel.as_ref().is_some_and(|cancel| cancel.requested()))
}

async fn either(mut one: std::pin::Pin<&mut impl Future>, mut other: std::pin::Pin<&mut impl Future>) {
    std::future::poll_fn(|cx| {
        let done = one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready();
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
