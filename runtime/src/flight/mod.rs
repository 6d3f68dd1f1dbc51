//! The table of running calls, written by the calls and read by the watchdog, without a lock between them.
//!
//! A call that is polled shows that in a [`frame`] of its thread's [`lane`], which the thread reaches by [`here`]. It takes a [`record`] out of
//! the [`table`] when it waits for the first time: [`register`]. `group` and `due` say where something is due. `plan` is what it needs of its
//! policy, `terms` what it runs under, `extra` what only some calls need; `life` says who may touch a record when, `bits` what else its state
//! says, `id` which call it is. `work` is blocking work that a call has handed to another thread.
//! `view` and `tree` are what judges and people are shown, `thread` names threads, `runtime` knows the runtimes that
//! they belong to.

mod bits;
mod cancel;
mod due;
mod extra;
mod frame;
mod freed;
mod group;
mod here;
mod id;
mod lane;
mod life;
mod plan;
mod polls;
mod probe;
mod record;
mod register;
mod roll;
pub(crate) mod runtime;
mod slot;
mod sync;
mod table;
mod terms;
pub(crate) mod thread;
mod tree;
mod view;
mod work;

pub(crate) use bits::{ALONE, BEATS, COARSE, FIRED, INHERITED, LAYERED, LINK, OVER, PAUSED, REPORTED, SILENT, WARNED};
pub(crate) use cancel::Cancel;
pub(crate) use extra::Limits;
pub(crate) use frame::{Kind, Shown};
pub(crate) use group::{Group, groups};
pub(crate) use here::{Here, Inside, here, present};
pub(crate) use id::CallId;
pub(crate) use lane::lanes;
pub(crate) use plan::{Plan, shortest};
pub(crate) use polls::{Polled, poll_of, polls};
pub(crate) use probe::Fate;
pub(crate) use record::{Entry, Record};
pub(crate) use register::{adopt, caller, has_caller, register, terms};
pub(crate) use roll::Roll;
pub use runtime::{GuardedPoll, RuntimeState, runtimes};
pub(crate) use slot::Slot;
pub(crate) use table::{Chunk, Ticket, at_most, chunks, running};
pub(crate) use terms::{Deadline, Terms};
pub use tree::{Beat, Node, Polling, Tree};
pub(crate) use view::{Poll, View};
pub(crate) use work::{Handing, Leaving, Left, Working, left};

use crate::clock::Tick;

/// Where more calls run, reports do not show all of them.
pub(crate) const SHOWN: usize = 10_000;

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
    let (mut roll, now) = (Roll::default(), Tick::now());
    roll.read(usize::MAX, now);
    roll.tree((0, ""))
}

/// What a report shows whose finder could not look: all running calls, or this one and its callers where that would cost too much.
pub(crate) fn look(call: Option<CallId>, now: Tick) -> Tree {
    let mut roll = Roll::default();
    match call {
        Some(call) if !at_most(SHOWN) => {
            roll.clear(now);
            roll.read_path(call, SHOWN);
            roll.tree((0, ""))
        }
        _ => snapshot(),
    }
}
