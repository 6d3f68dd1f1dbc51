//! A body whose panic is caught, and nothing else about it changed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::Result;

/// Runs `body`.
pub(super) fn run<R>(body: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(body))
}

pin_project_lite::pin_project! {
    /// The asynchronous form of [`run`].
    pub(super) struct Caught<F> {
        #[pin]
        future: F,
    }
}

/// Polls `future`.
pub(super) fn poll<F: Future>(future: F) -> Caught<F> {
    Caught { future }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match run(|| future.poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
