//! The calls that one look has ended: of each function and kind the first is a finding, and the others are counted with it. A hundred thousand
//! calls that expire together are no hundred thousand findings.

use std::collections::HashMap;

use super::finding;
use crate::clock::Tick;
use crate::flight::{CallId, Record, View};
use crate::incident::{self, Finding, IncidentId, IncidentKind};
use crate::site::Site;

use super::judge::Expiry;

/// See the module.
#[derive(Default)]
pub(super) struct Found {
    findings: Vec<(IncidentId, Finding)>,
    places: HashMap<Key, usize>,
}

/// The function's site, by its address, and what is wrong.
type Key = (usize, IncidentKind);

/// A call that is about to end, with what is to be told of it when it does.
pub(super) struct Ending {
    key: Key,
    incident: IncidentId,
    /// `None` where an earlier call says the same.
    finding: Option<Finding>,
}

impl Ending {
    /// The number that the call's error names.
    pub(super) fn incident(&self) -> u64 {
        self.incident.0
    }
}

/// How the limit of a call that passed is reported.
pub(super) type Report = fn(CallId, &View, Tick) -> Finding;

impl Found {
    /// Looks at a call before it ends, because its place in the tree ends with it; `None` where the reporter has no room.
    pub(super) fn look(
        &self,
        limit: Report,
        id: CallId,
        record: &'static Record,
        view: &View,
        expiry: Expiry,
        now: Tick,
    ) -> Option<Ending> {
        let key = (view.site.map_or(0, |site| std::ptr::from_ref::<Site>(site).addr()), finding::kind(record, expiry));
        if self.places.contains_key(&key) {
            return Some(Ending { key, incident: incident::reserve(), finding: None });
        }
        let incident = incident::admit()?;
        let finding = match expiry {
            Expiry::Limit => limit(id, view, now),
            Expiry::Idle => finding::idle(id, record, view, now),
        };
        Some(Ending { key, incident, finding: Some(finding) })
    }

    /// The call has ended.
    pub(super) fn add(&mut self, Ending { key, incident, finding }: Ending) {
        match finding {
            Some(finding) => {
                self.places.insert(key, self.findings.len());
                self.findings.push((incident, finding));
            }
            None => {
                let first = self.places.get(&key).and_then(|place| self.findings.get_mut(*place));
                first.into_iter().for_each(|(_, finding)| finding.repeat(incident));
            }
        }
    }

    /// Has everything reported.
    pub(super) fn report(&mut self) {
        self.places.clear();
        self.findings.drain(..).for_each(|(incident, finding)| incident::open(incident, finding));
    }
}
