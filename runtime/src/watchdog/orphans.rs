//! What has outlived its caller, the body of an isolated call or blocking work: an episode each, counted and reported when it is noticed, again
//! whenever it has lasted twice as long, and when it ends.

use std::time::Duration;

use super::bounded::Bounded;
use super::stack;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{self, Left};
use crate::incident::{self, Finding, IncidentId, IncidentKind, Occasion, Sighting};
use crate::observe;
use crate::site::Site;

/// Work that ends this soon after its caller is none: a call may end with the last thing that its work does.
const SOON: Duration = Duration::from_millis(100);

/// The work that has been left, by its number.
pub(super) struct Orphans(Bounded<u64, Orphan>);

/// So much of it is followed at one time.
const FOLLOWED: usize = 1024;

struct Orphan {
    site: &'static Site,
    since: Tick,
    /// `None` as long as it may end soon.
    incident: Option<IncidentId>,
    report_at: Duration,
    seen: Tick,
}

impl Orphans {
    pub(super) fn new() -> Self {
        Self(Bounded::new(FOLLOWED, "orphans"))
    }

    /// Looks at all work that has been left.
    pub(super) fn look(&mut self, now: Tick) {
        for left in flight::left() {
            let since = left.since.unwrap_or(now);
            let new = Orphan { site: left.site, since, incident: None, report_at: SOON, seen: now };
            let Some(orphan) = self.0.entry(left.number, || new) else { continue };
            orphan.seen = now;
            if now.since(orphan.since) >= orphan.report_at {
                orphan.report(&left, now);
            }
        }
        self.0.end_look(|_, orphan| {
            let runs = orphan.seen == now;
            if !runs {
                orphan.end(now);
            }
            runs
        });
    }

    /// Whether no work is known that was left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Orphan {
    fn report(&mut self, left: &Left, now: Tick) {
        let elapsed = now.since(self.since);
        let seen = sighting(left, elapsed, now);
        match self.incident {
            Some(id) => incident::sighted(Occasion::Again, Sighting { id, ..seen }),
            None => {
                let id = incident::reserve();
                observe::event(&Event::Orphaned { site: self.site });
                incident::sighted(Occasion::First, Sighting { id, ..seen });
                self.incident = Some(id);
            }
        }
        self.report_at = elapsed * 2;
    }

    fn end(&self, now: Tick) {
        if let Some(incident) = self.incident {
            observe::event(&Event::OrphanEnded { site: self.site, elapsed: now.since(self.since) });
            incident::end(incident);
        }
    }
}

fn sighting(left: &Left, elapsed: Duration, now: Tick) -> Sighting {
    Sighting {
        site: Some(left.site),
        left: Some(*left),
        thread: left.thread,
        name: flight::thread::label(left.thread),
        awaited: stack::of_work(left),
        ..Sighting::process(in_words, IncidentKind::Orphan, now, elapsed)
    }
}

fn in_words(seen: &Sighting) -> Finding {
    let left = seen.left;
    Finding {
        site: seen.site,
        call: left.and_then(|left| left.call),
        thread: Some(seen.name.as_str().to_owned()),
        // Where nobody was free to be asked then.
        threads: left.filter(|_| seen.awaited.is_none()).and_then(|left| stack::of_work(&left)),
        polled_by: seen.thread,
        note: left.filter(|left| left.since.is_none()).map(|_| "work that was handed to `spawn_blocking`".to_owned()),
        ..Finding::process(seen.kind, seen.at, seen.elapsed)
    }
}
