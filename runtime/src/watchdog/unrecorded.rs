//! Calls that are in their first poll and have no record yet: their times pass too, while they hold their thread.

use std::collections::HashMap;

use super::blocked::Place;
use super::finding;
use super::judge::{self, Due};
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{FIRED, Polled, View, WARNED};
use crate::incident;
use crate::observe;

/// Those that something was done about: the flags that would be up in their records, and when they were seen last.
#[derive(Default)]
pub(super) struct Unrecorded(HashMap<Place, (u32, Tick)>);

impl Unrecorded {
    /// Does what is due for those among `polls`.
    pub(super) fn look(&mut self, polls: &[Polled], now: Tick) {
        for polled in polls.iter().filter(|polled| polled.record.is_none()) {
            let place = (polled.depth, polled.poll);
            let before = self.0.get(&place).map_or(0, |(flags, _)| *flags);
            let flags = before | pass(polled, before, now);
            if flags != 0 {
                self.0.insert(place, (flags, now));
            }
        }
        self.0.retain(|_, (_, seen)| *seen == now);
    }
}

/// The flags that go up for one of them.
fn pass(polled: &Polled, flags: u32, now: Tick) -> u32 {
    let view = View { flags, ..polled.view.clone() };
    let Due { expired, slow, .. } = judge::due(&view, now);
    if let (true, Some(site)) = (slow, view.site) {
        observe::event(&Event::Slow { site, elapsed: now.since(view.started), limit: view.deadline.since(view.started), more: 0 });
        polled.note(flags | WARNED, 0);
        return WARNED;
    }
    if expired.is_some() {
        let incident = incident::reserve();
        polled.note(flags | FIRED, incident.0);
        incident::open(incident, finding::limit(polled.id, &view, now));
        return FIRED;
    }
    0
}
