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
