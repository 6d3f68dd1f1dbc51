//! Joins findings, call tree, system state and recent events into one report.
//!
//! [`open`] posts a finding to the reporter's thread, which does the rest: `report` joins, `escalate` and `episode`
//! decide how bad it is and what belongs together, `publish` puts it where it goes (`store` writes), `notify` tells. Must not know who finds.

mod abort;
mod blame;
mod busy;
mod cause;
pub(crate) mod demand;
mod dump;
mod episode;
mod escalate;
mod finding;
pub(crate) mod inbox;
mod kept;
mod kind;
mod oversee;
mod program;
mod publish;
pub(crate) mod recorder;
mod render;
mod report;
mod reporter;
mod ring;
mod rules;
mod stand_in;
mod standing;
mod store;
mod system;
mod threads;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use blame::holds_back;
pub(crate) use busy::busy_for;
pub use dump::{Dump, DumpReason, dump};
pub(crate) use finding::Finding;
pub use kept::incidents;
pub use kind::IncidentKind;
pub(crate) use kind::SEVERITIES;
pub use program::Program;
#[cfg(feature = "prometheus")]
pub(crate) use render::tree;
pub use report::{FunctionProgress, Incident, RecentEvent};
pub(crate) use stand_in::stand_in;
pub use system::{Pressure, SystemState};
pub(crate) use threads::{Awaited, Looked, look_by};
pub use threads::{NativeStack, StackFrame, ThreadState, Trust};

use crate::metrics::beat;
use crate::notify;

/// The number of an incident in this process, from 1; printed as `#1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub(crate) u64);

impl IncidentId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The number for a finding that is opened in a moment, or never: numbers may be missing.
pub(crate) fn reserve() -> IncidentId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    IncidentId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// [`reserve`], where the reporter has room for a finding. In a storm of them most are dropped and counted before they are made.
pub(crate) fn admit() -> Option<IncidentId> {
    inbox::has_room().then(reserve)
}

/// Has a finding reported. Never waits: where the reporter is too far behind, the report is dropped and counted.
pub(crate) fn open(id: IncidentId, finding: Finding) {
    start();
    inbox::post(inbox::Work::Finding(id, Box::new(finding)));
}

/// Has the report of what still lasts brought up to date.
pub(crate) fn again(id: IncidentId, finding: Finding) {
    inbox::post(inbox::Work::Again(id, Box::new(finding)));
}

/// Tells that what was opened under this number, and lasted, is over.
pub(crate) fn end(id: IncidentId) {
    inbox::post(inbox::Work::End(id));
}

/// Says that threads which reports wait for were looked at.
#[cfg_attr(not(native_stacks), expect(dead_code))]
pub(crate) fn threads_told() {
    inbox::post(inbox::Work::Threads);
}

/// Starts the reporter's thread, once.
pub(crate) fn start() {
    reporter::ensure_started();
}

/// Writes each further incident as text and as JSON into this folder.
pub(crate) fn store_in(folder: PathBuf) {
    store::set_folder(folder);
}

/// Waits until every incident so far is reported, stored and delivered to its channels; `false` when `timeout` came first.
pub(crate) fn flush(timeout: Duration) -> bool {
    let began = Instant::now();
    let left = || timeout.saturating_sub(began.elapsed());
    look_is_over(left) && reporter::flush(left()) && notify::flush(left())
}

/// Waits until the watchdog has posted what it finds in the look that it may be at: it wakes the calls first.
fn look_is_over(left: impl Fn() -> Duration) -> bool {
    let awake = beat::WATCHDOG.awake();
    while awake.is_some() && beat::WATCHDOG.awake() == awake {
        if left().is_zero() {
            return false;
        }
        thread::sleep(Duration::from_micros(200));
    }
    true
}
