//! The calls that one look has ended or found slow: of each function and kind the first is a finding, and the others are counted with it. A
//! hundred thousand calls that expire together are no hundred thousand findings.

use std::collections::HashMap;
use std::time::Duration;

use super::finding;
use super::judge::Expiry;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{CallId, Record, View};
use crate::incident::{self, Finding, IncidentId, IncidentKind};
use crate::observe;
use crate::site::Site;

/// See the module.
#[derive(Default)]
pub(super) struct Found {
    findings: Vec<(IncidentId, Finding)>,
    slow: Vec<Slow>,
    places: Places,
}

struct Slow {
    site: &'static Site,
    elapsed: Duration,
    limit: Duration,
    more: u64,
}

/// A call that is about to end, with what is to be told of it when it does.
pub(super) struct Ending {
    key: Key,
    incident: IncidentId,
    news: News,
}

enum News {
    First(Box<Finding>),
    /// The finding at this place says the same.
    Again(usize),
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
        &mut self,
        limit: Report,
        id: CallId,
        record: &'static Record,
        view: &View,
        expiry: Expiry,
        now: Tick,
    ) -> Option<Ending> {
        let key = key(view.site, Some(finding::kind(record, expiry)));
        if let Some(place) = self.places.find(key) {
            return Some(Ending { key, incident: incident::reserve(), news: News::Again(place) });
        }
        let incident = incident::admit()?;
        let finding = match expiry {
            Expiry::Limit => limit(id, view, now),
            Expiry::Idle => finding::idle(id, record, view, now),
        };
        Some(Ending { key, incident, news: News::First(Box::new(finding)) })
    }

    /// The call has ended.
    pub(super) fn add(&mut self, Ending { key, incident, news }: Ending) {
        match news {
            News::First(finding) => {
                self.places.set(key, self.findings.len());
                self.findings.push((incident, *finding));
            }
            News::Again(place) => self.findings.get_mut(place).into_iter().for_each(|(_, first)| first.repeat(incident)),
        }
    }

    /// A call is slow.
    pub(super) fn slow(&mut self, site: &'static Site, elapsed: Duration, limit: Duration) {
        let key = key(Some(site), None);
        match self.places.find(key).and_then(|place| self.slow.get_mut(place)) {
            Some(first) => first.more += 1,
            None => {
                self.places.set(key, self.slow.len());
                self.slow.push(Slow { site, elapsed, limit, more: 0 });
            }
        }
    }

    /// Has everything reported.
    pub(super) fn report(&mut self) {
        self.places.clear();
        for Slow { site, elapsed, limit, more } in self.slow.drain(..) {
            observe::event(&Event::Slow { site, elapsed, limit, more });
        }
        self.findings.drain(..).for_each(|(incident, finding)| incident::open(incident, finding));
    }
}

/// The function's site, by its address, and what is wrong; `None`: it is slow.
type Key = (usize, Option<IncidentKind>);

fn key(site: Option<&'static Site>, kind: Option<IncidentKind>) -> Key {
    (site.map_or(0, |site| std::ptr::from_ref(site).addr()), kind)
}

/// Where the first of each key stands. Calls of one function stand together mostly.
#[derive(Default)]
struct Places {
    last: Option<(Key, usize)>,
    all: HashMap<Key, usize>,
}

impl Places {
    fn find(&mut self, key: Key) -> Option<usize> {
        if self.last.is_none_or(|(last, _)| last != key) {
            self.last = self.all.get(&key).map(|place| (key, *place));
        }
        self.last.map(|(_, place)| place)
    }

    fn set(&mut self, key: Key, place: usize) {
        self.all.insert(key, place);
    }

    fn clear(&mut self) {
        self.last = None;
        self.all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_calls_of_one_function_are_told_once_with_their_number() {
        static ONE: Site = Site::timeout_async("found_test::one").at("f.rs", 1, 1);
        static OTHER: Site = Site::timeout_async("found_test::other").at("f.rs", 2, 1);
        let mut found = Found::default();
        let told = |found: &Found| found.slow.iter().map(|slow| (slow.site.name(), slow.more)).collect::<Vec<_>>();
        for site in [&ONE, &OTHER, &ONE, &ONE] {
            found.slow(site, Duration::from_secs(4), Duration::from_secs(5));
        }
        assert_eq!(told(&found), [("found_test::one", 2), ("found_test::other", 0)]);
        found.report();
        found.slow(&ONE, Duration::from_secs(4), Duration::from_secs(5));
        assert_eq!(told(&found), [("found_test::one", 0)], "another look");
    }
}
