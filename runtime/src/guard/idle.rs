//! Signs of life: what keeps a call with an idle limit from being called silent.

use std::fmt;
use std::time::Duration;

use super::current;
use crate::flight::{self, CallId, Record};

/// Says that the body makes progress: the silence of the call that runs here, and of its callers, begins anew.
///
/// Costs a clock reading and a store. Does nothing outside every guarded call.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// #[backstop::timeout_async(secs = 3600, idle_secs = 1)]
/// async fn feed() -> std::io::Result<u32> {
///     for _ in 0..10 {
///         tokio::time::sleep(Duration::from_millis(900)).await;
///         backstop::beat();
///     }
///     Ok(10)
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// tokio::time::pause();
/// assert_eq!(feed().await.unwrap(), 10);
/// # }
/// ```
pub fn beat() {
    beat_up(current::call());
}

/// [`beat`], and says how far the body has come; reports show the last progress.
pub fn beat_with(progress: impl fmt::Display) {
    let call = current::call();
    if let Some(extra) = call.and_then(flight::running).and_then(Record::extra) {
        extra.set_progress(progress.to_string());
    }
    beat_up(call);
}

/// Declares a long silent stretch: until the token is dropped, but at most for `longest`, the call that runs here and its callers are not
/// called silent.
///
/// When the time is over the silence begins anew, so the call ends one idle limit later at the earliest. Tokens are independent: a short
/// one that ends does not end a longer one. More than three at a time in one call share a place that lasts as long as the longest of them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// #[backstop::timeout_async(secs = 3600, idle_secs = 1)]
/// async fn load() -> std::io::Result<()> {
///     let _hold = backstop::hold("loading checkpoint", Duration::from_secs(600));
///     tokio::time::sleep(Duration::from_secs(500)).await;
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// tokio::time::pause();
/// assert!(load().await.is_ok());
/// # }
/// ```
#[must_use = "the hold ends when the token is dropped"]
pub fn hold(what: &str, longest: Duration) -> Hold {
    let call = current::call();
    if let Some(extra) = call.and_then(flight::running).and_then(Record::extra) {
        extra.set_progress(what.to_owned());
    }
    let held = |(id, record): (CallId, &'static Record)| Some((id, record.extra()?.hold(record.clock().now().after(longest))));
    Hold { places: up(call).filter_map(held).collect() }
}

/// The token of [`hold`].
pub struct Hold {
    places: Vec<(CallId, usize)>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        for (call, place) in self.places.drain(..) {
            if let Some(record) = flight::running(call) {
                record.release(place);
            }
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

/// A sign of life of a call and its callers.
pub(super) fn beat_up(call: Option<CallId>) {
    up(call).for_each(|(_, record)| record.beat());
}

/// A call and its callers, the innermost first.
fn up(call: Option<CallId>) -> impl Iterator<Item = (CallId, &'static Record)> {
    let at = |id| Some((id, flight::running(id)?));
    std::iter::successors(call.and_then(at), move |(_, record)| record.parent().and_then(at))
}
