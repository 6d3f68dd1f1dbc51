//! Polls that do not return: one episode each, reported when it begins, again whenever it has lasted twice as long, and when it ends.

use std::time::Duration;

use super::bounded::Bounded;
use super::finding;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{self, Poll, Polled};
use crate::incident::{self, IncidentId, Occasion, Sighting};
use crate::observe;
use crate::site::Site;
use crate::text::Name;

/// Polls that are followed at one time.
const FOLLOWED: usize = 1024;

/// The episodes that last.
pub(super) struct Episodes(Bounded<Place, Episode>);

/// A poll has no name: a place on a thread where it lasts, and since when.
type Place = (u32, Poll);

struct Episode {
    /// `None` while the host is to blame.
    incident: Option<IncidentId>,
    site: &'static Site,
    thread: Name,
    report_at: Duration,
    seen: Tick,
}

impl Episode {
    fn report(&mut self, polled: &Polled, elapsed: Duration, now: Tick) {
        let mut seen = finding::blocked(polled, elapsed, now);
        seen.name = self.thread;
        match self.incident {
            Some(id) => incident::sighted(Occasion::Again, Sighting { id, ..seen }),
            None if seen.weigh(polled.view.blocked_after) => {
                incident::sighted(Occasion::HeldBack, seen);
                // What the host excuses now is judged anew, soon.
                self.report_at = elapsed + polled.view.blocked_after.max(elapsed / 2);
                return;
            }
            None => {
                observe::event(&Event::Blocked { site: self.site, thread: self.thread.as_str(), elapsed });
                let id = incident::reserve();
                incident::sighted(Occasion::First, Sighting { id, ..seen });
                self.incident = Some(id);
            }
        }
        self.report_at = elapsed * 2;
    }
}

impl Episodes {
    pub(super) fn new() -> Self {
        Self(Bounded::new(FOLLOWED, "blocked polls"))
    }

    /// Looks at a poll that lasts, and at the one inside of it on its thread, if that is the one before.
    pub(super) fn look(&mut self, polled: &Polled, before: Option<Poll>, now: Tick) {
        let (elapsed, after) = (now.since(polled.poll.since), polled.view.blocked_after);
        // Of nested calls the innermost that is blocked is to blame: its callers only wait for it.
        let blamed = before.is_some_and(|inner| inner.thread == polled.poll.thread && now.since(inner.since) >= after);
        if !blamed && elapsed >= after {
            self.last(polled, elapsed, now);
        }
    }

    fn last(&mut self, polled: &Polled, elapsed: Duration, now: Tick) {
        let Some(site) = polled.view.site else { return };
        let thread = || flight::thread::label(polled.poll.thread);
        let new = || Episode { incident: None, site, thread: thread(), report_at: Duration::ZERO, seen: now };
        let Some(episode) = self.0.entry((polled.depth, polled.poll), new) else { return };
        episode.seen = now;
        if elapsed >= episode.report_at {
            episode.report(polled, elapsed, now);
        }
    }

    /// All were looked at: those that were not seen are over.
    pub(super) fn end_look(&mut self, now: Tick) {
        self.0.end_look(|(_, poll), Episode { incident, site, thread, seen, .. }| {
            if *seen != now
                && let Some(incident) = incident
            {
                incident::end(*incident);
                observe::event(&Event::Unblocked { site, thread: thread.as_str(), elapsed: now.since(poll.since) });
            }
            *seen == now
        });
    }
}
