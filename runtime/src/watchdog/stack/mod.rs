//! The native stack of a thread: where in the program, to the line, a body is stuck.
//!
//! Reports ask here; who asks never waits. Linux on x86_64, with the feature `stacks`; elsewhere reports say that there are none.

#[cfg(native_stacks)]
mod linux;
#[cfg(not(native_stacks))]
mod nowhere;
mod reason;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::flight::{CallId, Left, Poll};
use crate::incident::{self, Awaited, ThreadState};
use crate::{flight, host, policy};
use reason::Reason;

#[cfg(native_stacks)]
use linux as captor;
#[cfg(not(native_stacks))]
use nowhere as captor;

/// Whether the program wants stacks.
static WANTED: AtomicBool = AtomicBool::new(true);
/// How long somebody who asks for all threads waits for names and lines.
const PATIENCE: Duration = Duration::from_secs(1);

/// Switches native stacks on or off for this program; the environment may still switch them off.
pub(crate) fn want(wanted: bool) {
    WANTED.store(wanted, Relaxed);
}

fn wanted() -> bool {
    // A debugger would stop at the signal.
    WANTED.load(Relaxed) && policy::stacks_are_on() && host::debugger().is_none()
}

/// Sets everything aside that looking takes, while nothing is stuck yet.
pub(super) fn start() {
    incident::look_by(of_all);
    if wanted() {
        captor::start();
    }
}

/// Has the thread of a poll that does not return looked at while that lasts, and with it all others of interest; `None` where stacks are not
/// wanted or cannot be had now. Never waits.
pub(super) fn of_poll(call: CallId, poll: Poll) -> Option<Arc<Awaited>> {
    of(poll.thread, Reason::Poll(call, poll))
}

/// The same for the thread of work whose caller is gone.
pub(super) fn of_work(left: &Left) -> Option<Arc<Awaited>> {
    of(left.thread, Reason::Work(*left))
}

fn of(thread: u32, reason: Reason) -> Option<Arc<Awaited>> {
    let tid = flight::thread::tid(thread);
    (wanted() && (tid != 0 || cfg!(not(native_stacks)))).then(|| captor::request(tid, reason))?
}

/// Has all threads of interest looked at.
pub(super) fn of_all() -> Option<Arc<Awaited>> {
    wanted().then(|| captor::request(0, Reason::Any))?
}

/// What the threads do that poll guarded calls or belong to a tokio runtime, with their native stacks; 64 at most.
///
/// Takes up to a second, most of it for line tables; where they take longer, lines are missing. Empty where native stacks are switched off,
/// see [`Builder::native_stacks`](crate::Builder::native_stacks).
///
/// # Examples
///
/// ```
/// for thread in backstop::threads() {
///     println!("{} (tid {}): {} frames", thread.name, thread.tid, thread.stack.frames.len());
/// }
/// ```
#[must_use]
pub fn threads() -> Vec<ThreadState> {
    of_all().and_then(|awaited| awaited.last(PATIENCE)).map(|looked| looked.threads.to_vec()).unwrap_or_default()
}
