//! Joins findings, call tree, system state and recent events into one report.

mod finding;
pub(crate) mod inbox;
mod kind;
pub(crate) mod recorder;
mod ring;

use std::fmt;

pub(crate) use finding::Finding;
pub use kind::IncidentKind;

/// The number of an incident in this process, from 1; printed as `#1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub(crate) u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The number for a finding that is opened in a moment, or never: numbers may be missing.
pub(crate) fn reserve() -> IncidentId {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    IncidentId(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// Hands a finding to the reporter; never waits.
pub(crate) fn open(id: IncidentId, finding: Finding) {
    inbox::post(inbox::Work::Finding(id, Box::new(finding)));
}
