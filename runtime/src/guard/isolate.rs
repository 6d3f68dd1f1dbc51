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

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::time::Duration;

    use futures::FutureExt;
    use futures::executor::block_on;
    use tokio::sync::oneshot;

    use super::isolated;
    use crate::site::Site;

    static SITE: Site = Site::timeout_async("isolated");

    #[tokio::test]
    async fn the_body_runs_as_another_task() {
        let body = isolated(&SITE, async { tokio::task::id() });
        let own = tokio::spawn(async { (tokio::task::id(), body.await) }).await.unwrap();
        assert_ne!(own.0, own.1);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller() {
        let panicked = AssertUnwindSafe(isolated(&SITE, async { panic!("in the body") })).catch_unwind().await;
        let panic: Result<(), _> = panicked;
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"in the body"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_ends_with_its_caller() {
        let (alive, ended) = oneshot::channel::<()>();
        let alive = Arc::new(alive);
        let body = isolated(&SITE, async move {
            let _alive = alive;
            pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::from_secs(1), body).await.is_err());
        assert!(ended.await.is_err(), "the body was dropped");
    }

    #[test]
    fn without_a_runtime_the_body_runs_in_place() {
        assert_eq!(block_on(isolated(&SITE, async { 5 })), 5);
    }
}
