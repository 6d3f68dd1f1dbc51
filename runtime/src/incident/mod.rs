//! Joins findings, call tree, system state and recent events into one report.
//!
//! [`open`] posts a finding to the reporter's thread, which does the rest: `report` joins, `escalate` and `episode`
//! decide how bad it is and what belongs together, `publish` puts it where it goes (`store` writes), `notify` tells. Must not know who finds.

mod abort;
mod also;
mod blame;
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
pub(crate) mod plain;
mod program;
mod publish;
pub(crate) mod recorder;
mod render;
mod report;
mod reporter;
mod ring;
pub(crate) mod rounds;
mod rules;
mod sheets;
mod sighting;
pub(crate) mod stand_in;
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
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use dump::{Dump, DumpReason, dump};
pub(crate) use finding::Finding;
pub use kept::incidents;
pub use kind::IncidentKind;
pub(crate) use kind::SEVERITIES;
pub use program::Program;
#[cfg(feature = "prometheus")]
pub(crate) use render::tree;
pub use report::{FunctionProgress, Incident, RecentEvent};
pub(crate) use sheets::Sheet;
pub(crate) use sighting::{Occasion, Sighting};
pub use system::{Pressure, SystemState};
pub(crate) use threads::{Awaited, Looked, look_by};
pub use threads::{NativeStack, StackFrame, ThreadState, Trust};

use crate::flight::Record;
use crate::flight::runtime::Runtime;
use crate::heap;
use crate::metrics::{beat, process};
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
    IncidentId(reserve_block(1))
}

/// The first of so many numbers.
fn reserve_block(count: u64) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(count, Ordering::Relaxed)
}

/// Has a finding reported. Never waits: where the reporter is too far behind, the report is dropped and counted.
#[cfg_attr(not(any(test, feature = "tch")), expect(dead_code))]
pub(crate) fn open(id: IncidentId, finding: Finding) {
    start();
    inbox::post(inbox::Work::Finding(id, Box::new(finding)));
}

/// An empty sheet for a sighting, where the reporter has room for one; else that is counted.
pub(crate) fn sheet() -> Option<Sheet> {
    let sheet = inbox::has_room().then(sheets::take)?;
    if sheet.is_none() {
        process::drop_one("incident");
    }
    if sheet.is_none() && heap::is_renounced() {
        plain::left_out();
    }
    sheet
}

/// Has a sighting reported. Never waits, and takes nothing from the heap.
pub(crate) fn tell(occasion: Occasion, sheet: Sheet) {
    let Some(sighting) = &*sheet else { return };
    let order = if occasion == Occasion::First && heap::is_renounced() { plain::expect(sighting) } else { 0 };
    inbox::post(inbox::Work::Sighting(occasion, order, sheet));
}

/// [`tell`], of what has no sheet yet.
pub(crate) fn sighted(occasion: Occasion, sighting: Sighting) {
    if let Some(mut sheet) = sheet() {
        *sheet = Some(sighting);
        tell(occasion, sheet);
    }
}

/// Has the reporter do this: it takes the heap, or runs code of the application.
pub(crate) fn errand(errand: fn(Arc<Runtime>), runtime: Arc<Runtime>) {
    inbox::post(inbox::Work::Errand(errand, runtime));
}

/// Has the reporter free a record whose owner left while it rang, where this thread takes nothing from the heap.
pub(crate) fn vacate(record: &'static Record) {
    if heap::is_renounced() {
        inbox::post(inbox::Work::Vacate(record));
    } else {
        record.vacate();
    }
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

/// Sets everything aside that the watchdog hands over with, and has somebody wait who stands in for the reporter.
pub(crate) fn prepare() {
    start();
    sheets::start();
    plain::start();
    stand_in::start();
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
