//! Signs of life: what keeps a call with an idle limit from being called silent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::context::{self, Context};
use crate::clock::Tick;
use crate::flight::{self, CallId};

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
    if let Some(context) = context::current() {
        let now = context.clock.now();
        up(context.call, |record| record.beat(now));
    }
}

/// [`beat`], and says how far the body has come; reports show the last progress.
pub fn beat_with(progress: impl fmt::Display) {
    if let Some(context) = context::current() {
        if let Some(record) = context.record() {
            record.set_progress(progress.to_string());
        }
        beat();
    }
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
    let mut places = Vec::new();
    let context = context::current();
    if let Some(context) = &context {
        let until = context.clock.now().after(longest);
        if let Some(record) = context.record() {
            record.set_progress(what.to_owned());
        }
        each_up(context.call, |call, record| places.push((call, record.hold(until))));
    }
    Hold { context, places }
}

/// The token of [`hold`].
pub struct Hold {
    context: Option<Arc<Context>>,
    places: Vec<(CallId, usize)>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let now = self.context.as_ref().map_or(Tick::default(), |context| context.clock.now());
        for (call, place) in self.places.drain(..) {
            if let Some(record) = flight::running(call) {
                record.release(place);
                record.beat(now);
            }
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

/// Visits a call and its callers, the innermost first.
pub(super) fn up(call: Option<CallId>, visit: impl Fn(&'static flight::Record)) {
    each_up(call, |_, record| visit(record));
}

fn each_up(mut call: Option<CallId>, mut visit: impl FnMut(CallId, &'static flight::Record)) {
    while let Some(id) = call {
        let Some(record) = flight::running(id) else { return };
        visit(id, record);
        call = record.parent();
    }
}
