//! Polls that do not return: one episode each, reported when it begins, again whenever it has lasted twice as long, and when it ends.

use std::collections::HashMap;
use std::time::Duration;

use super::finding;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{self, Poll, Polled};
use crate::incident::{self, IncidentId};
use crate::observe;
use crate::site::Site;

/// The episodes that last.
#[derive(Default)]
pub(super) struct Episodes(HashMap<Place, Episode>);

/// A poll has no name: a place on a thread where it lasts, and since when.
pub(super) type Place = (u32, Poll);

struct Episode {
    /// `None` while the host is to blame.
    incident: Option<IncidentId>,
    site: &'static Site,
    thread: String,
    report_at: Duration,
    seen: Tick,
}

impl Episode {
    fn report(&mut self, polled: &Polled, elapsed: Duration, now: Tick) {
        let mut finding = finding::blocked(polled, elapsed, self.thread.clone(), now);
        match self.incident {
            Some(incident) => incident::again(incident, finding),
            None if incident::holds_back(&mut finding) => {
                // What the host excuses now is judged anew, soon.
                self.report_at = elapsed + polled.view.blocked_after.max(elapsed / 2);
                return;
            }
            None => {
                observe::event(&Event::Blocked { site: self.site, thread: &self.thread, elapsed });
                let incident = incident::reserve();
                incident::open(incident, finding);
                self.incident = Some(incident);
            }
        }
        self.report_at = elapsed * 2;
    }
}

impl Episodes {
    /// Looks at all polls that last: thread by thread, the innermost first.
    pub(super) fn watch(&mut self, polls: &[Polled], now: Tick) {
        let mut inner: Option<Poll> = None;
        for polled in polls {
            let elapsed = now.since(polled.poll.since);
            // Of nested calls the innermost that is blocked is to blame: its callers only wait for it.
            let blamed =
                inner.is_some_and(|inner| inner.thread == polled.poll.thread && now.since(inner.since) >= polled.view.blocked_after);
            inner = Some(polled.poll);
            if !blamed && elapsed >= polled.view.blocked_after {
                self.last(polled, elapsed, now);
            }
        }
        self.end_those_not_seen(now);
    }

    fn last(&mut self, polled: &Polled, elapsed: Duration, now: Tick) {
        let Some(site) = polled.view.site else { return };
        let episode = self.0.entry((polled.depth, polled.poll)).or_insert_with(|| {
            let thread = flight::thread::name(polled.poll.thread);
            Episode { incident: None, site, thread, report_at: Duration::ZERO, seen: now }
        });
        episode.seen = now;
        if elapsed >= episode.report_at {
            episode.report(polled, elapsed, now);
        }
    }

    fn end_those_not_seen(&mut self, now: Tick) {
        self.0.retain(|(_, poll), Episode { incident, site, thread, seen, .. }| {
            if *seen != now
                && let Some(incident) = incident
            {
                incident::end(*incident);
                observe::event(&Event::Unblocked { site, thread, elapsed: now.since(poll.since) });
            }
            *seen == now
        });
    }
}
