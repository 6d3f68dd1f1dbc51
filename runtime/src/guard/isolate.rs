//! The body as a task of its own, so that the caller is released even while the body blocks its thread.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::site::Site;

/// Runs `body` as a task of the tokio runtime at hand; without one it runs where it is awaited.
///
/// # Cancellation
/// Dropping the future aborts the task at its next `.await`.
///
/// # Panics
/// A panic of the body goes on to the caller.
pub async fn isolated<F>(_site: &'static Site, body: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Handle::try_current() {
        Ok(runtime) => {
            let mut task = pin!(Task(runtime.spawn(body)));
            poll_fn(|cx| task.as_mut().poll(cx)).await
        }
        Err(_) => body.await,
    }
}

/// A task that ends with its caller.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(cx) {
            Poll::Ready(Ok(value)) => Poll::Ready(value),
            Poll::Ready(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            // Its runtime is shutting down, and drops this caller too.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
