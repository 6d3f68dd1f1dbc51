//! The calls that one look has ended or found slow: of each function and kind the first is a finding, and the others are counted with it. A
//! hundred thousand calls that expire together are no hundred thousand findings.

use std::time::Duration;

use super::finding;
use super::judge::Expiry;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{CallId, Record, View};
use crate::incident::{self, IncidentId, IncidentKind, Occasion, Sheet, Sighting};
use crate::observe;
use crate::site::Site;

/// So many are kept apart; where there are more, those are reported first, and what is alike among the others is found again by the reporter.
const KINDS: usize = 64;

/// See the module. Takes nothing from the heap once it has its room.
#[derive(Default)]
pub(super) struct Found {
    sheets: Kinds<(IncidentKind, Sheet)>,
    slow: Kinds<Slow>,
}

struct Slow {
    elapsed: Duration,
    limit: Duration,
    more: u64,
}

/// A call that is about to end, with what is to be told of it when it does.
pub(super) enum Ending {
    First(IncidentId, Sheet),
    /// The sighting at this place says the same.
    Again(IncidentId, usize),
}

impl Ending {
    /// The number that the call's error names.
    pub(super) fn incident(&self) -> u64 {
        let (Ending::First(incident, _) | Ending::Again(incident, _)) = self;
        incident.get()
    }
}

/// How the limit of a call that passed is reported.
pub(super) type Report = fn(CallId, &View, Tick) -> Sighting;

impl Found {
    /// With all the room that it ever takes.
    pub(super) fn with_room() -> Self {
        Self { sheets: Kinds(Vec::with_capacity(KINDS), 0), slow: Kinds(Vec::with_capacity(KINDS), 0) }
    }

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
        let kind = finding::kind(record, expiry);
        let alike = |(other, _): &(IncidentKind, Sheet)| *other == kind;
        if let Some(place) = self.sheets.find(view.site, alike)
            && let Some(first) = self.sheets.at(place).and_then(|(_, sheet)| sheet.as_mut().as_mut())
        {
            return Some(Ending::Again(first.also.next(), place));
        }
        let mut sheet = incident::sheet()?;
        let seen = match expiry {
            Expiry::Limit => limit(id, view, now),
            Expiry::Idle => finding::idle(id, view, now),
        };
        let number = incident::reserve();
        *sheet = Some(Sighting { id: number, ..seen });
        Some(Ending::First(number, sheet))
    }

    /// The call, by whose view it was, has ended.
    pub(super) fn add(&mut self, ending: Ending, record: &'static Record, view: &View, expiry: Expiry) {
        match ending {
            Ending::First(_, sheet) => {
                if self.sheets.is_full() {
                    self.report();
                }
                self.sheets.add(view.site, (finding::kind(record, expiry), sheet));
            }
            Ending::Again(_, place) => {
                let first = self.sheets.at(place).and_then(|(_, sheet)| sheet.as_mut().as_mut());
                first.into_iter().for_each(|first| first.also.add());
            }
        }
    }

    /// A call is slow.
    pub(super) fn slow(&mut self, site: &'static Site, elapsed: Duration, limit: Duration) {
        match self.slow.find(Some(site), |_| true) {
            Some(place) => self.slow.at(place).into_iter().for_each(|first| first.more += 1),
            None => {
                if self.slow.is_full() {
                    self.report();
                }
                self.slow.add(Some(site), Slow { elapsed, limit, more: 0 });
            }
        }
    }

    /// Has everything reported.
    pub(super) fn report(&mut self) {
        for (site, Slow { elapsed, limit, more }) in self.slow.0.drain(..) {
            site.into_iter().for_each(|site| observe::event(&Event::Slow { site, elapsed, limit, more }));
        }
        for (_, (_, mut sheet)) in self.sheets.0.drain(..) {
            sheet.iter_mut().for_each(finding::path);
            incident::tell(Occasion::First, sheet);
        }
    }
}

/// The first of each function and kind, and where the last one was found: calls of one function stand together mostly.
struct Kinds<T>(Vec<(Option<&'static Site>, T)>, usize);

impl<T> Default for Kinds<T> {
    fn default() -> Self {
        Self(Vec::new(), 0)
    }
}

impl<T> Kinds<T> {
    fn find(&mut self, site: Option<&'static Site>, alike: impl Fn(&T) -> bool) -> Option<usize> {
        let address = |site: Option<&'static Site>| site.map(std::ptr::from_ref);
        let is = |(other, kind): &(Option<&'static Site>, T)| address(*other) == address(site) && alike(kind);
        if !self.0.get(self.1).is_some_and(is) {
            self.1 = self.0.iter().position(is)?;
        }
        Some(self.1)
    }

    fn at(&mut self, place: usize) -> Option<&mut T> {
        self.0.get_mut(place).map(|(_, kind)| kind)
    }

    fn is_full(&self) -> bool {
        self.0.len() >= KINDS
    }

    fn add(&mut self, site: Option<&'static Site>, kind: T) {
        self.0.push((site, kind));
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
        let told = |found: &Found| found.slow.0.iter().map(|(site, slow)| (site.unwrap().name(), slow.more)).collect::<Vec<_>>();
        for site in [&ONE, &OTHER, &ONE, &ONE] {
            found.slow(site, Duration::from_secs(4), Duration::from_secs(5));
        }
        assert_eq!(told(&found), [("found_test::one", 2), ("found_test::other", 0)]);
        found.report();
        found.slow(&ONE, Duration::from_secs(4), Duration::from_secs(5));
        assert_eq!(told(&found), [("found_test::one", 0)], "another look");
    }

    #[test]
    fn there_is_room_for_more_functions_than_are_kept_apart() {
        static SITES: [Site; KINDS + 1] = [const { Site::timeout_async("found_test::many") }; KINDS + 1];
        let mut found = Found::with_room();
        let set_aside = found.slow.0.capacity();
        for site in &SITES {
            found.slow(site, Duration::from_secs(4), Duration::from_secs(5));
        }
        assert_eq!((found.slow.0.len(), found.slow.0.capacity()), (1, set_aside), "the others are told already");
    }
}
