//! Joins findings, call tree, system state and recent events into one report.

use std::fmt;

/// The number of an incident in this process, from 1; printed as `#1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub(crate) u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
use crate::flight::{CallId, Record, View};
use crate::clock::Tick;
pub(crate) struct Finding;
impl Finding {
    pub(crate) fn limit(_: CallId, _: &Record, _: &View, _: Tick) -> Self { Self }
    pub(crate) fn idle(_: CallId, _: &Record, _: &View, _: Tick) -> Self { Self }
    pub(crate) fn blocked(_: CallId, _: &Record, _: &View, _: std::time::Duration, _: String, _: Tick) -> Self { Self }
}
pub(crate) fn reserve() -> IncidentId { IncidentId(1) }
pub(crate) fn open(_: IncidentId, _: Finding) {}
