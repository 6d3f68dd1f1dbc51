//! The polite request to stop, as a body sees it.

use super::current;

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
    match current::cancel() {
        Some(cancel) => cancel.wait().await,
        None => std::future::pending().await,
    }
}

/// Whether the call that runs here should stop: what [`cancelled`] waits for, for code that does not await.
#[must_use]
pub fn is_cancelled() -> bool {
    current::cancel().is_some_and(|cancel| cancel.requested())
}
