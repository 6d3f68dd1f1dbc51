//! The table of running calls, written by the calls and read by the watchdog, without a lock between them.
//!
//! `record` is one call, `table` is where records live, `terms` is what it runs under, `tree` is what people are
//! shown, `thread` names threads, `runtime` knows the runtimes that they belong to.

mod record;
pub(crate) mod runtime;
mod table;
mod terms;
pub(crate) mod thread;
mod tree;

pub(crate) use record::{CallId, Entry, FIRED, Limits, REPORTED, Record, SILENT, View, WARNED};
pub use runtime::{GuardedPoll, RuntimeState, runtimes};
pub(crate) use table::{Ticket, running, views};
pub(crate) use terms::{Deadline, Terms};
pub use tree::{Beat, Node, Polling, Tree};

use crate::clock::Tick;

/// The running calls at this moment, as a tree.
///
/// Takes no lock: calls that begin or end meanwhile may or may not be in it.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// #[backstop::timeout_async(secs = 5, name = "example.outer")]
/// async fn outer() -> std::io::Result<usize> {
///     Ok(backstop::snapshot().calls.iter().filter(|call| call.function == "example.outer").count())
/// }
/// assert_eq!(outer().await.unwrap(), 1);
/// # }
/// ```
#[must_use]
pub fn snapshot() -> Tree {
    Tree::of(views().filter(|(_, _, view)| !view.alarm).collect(), Tick::now())
}

/// A call and its callers alone: what a report shows where the whole tree would cost too much.
pub(crate) fn path(call: CallId, now: Tick) -> Tree {
    let callers = std::iter::successors(Some(call), |id| running(*id)?.parent());
    let views = callers.filter_map(|id| running(id).and_then(|record| Some((id, record, record.view()?))));
    Tree::of(views.collect(), now)
}
