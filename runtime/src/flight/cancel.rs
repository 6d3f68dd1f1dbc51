//! The request to stop, between the limit of a call and the end of its grace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};

use tokio::sync::Notify;

/// A request that is made once and stays made.
#[derive(Debug, Default)]
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

    /// Whether it was made.
    pub(crate) fn requested(&self) -> bool {
        self.requested.load(Acquire) || self.caller.as_ref().is_some_and(|caller| caller.requested())
    }

    /// Waits until it is made.
    pub(crate) async fn wait(self: Arc<Self>) {
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

async fn either(mut one: std::pin::Pin<&mut impl Future>, mut other: std::pin::Pin<&mut impl Future>) {
    std::future::poll_fn(|cx| {
        let done = one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready();
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
