//! What has outlived its caller, the body of an isolated call or blocking work: an episode each, counted and reported when it is noticed, again
//! whenever it has lasted twice as long, and when it ends.

use std::collections::HashMap;
use std::time::Duration;

use super::stack;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{self, Left};
use crate::incident::{self, Finding, IncidentId, IncidentKind};
use crate::observe;
use crate::site::Site;

/// Work that ends this soon after its caller is none: a call may end with the last thing that its work does.
const SOON: Duration = Duration::from_millis(100);

/// The work that has been left, by its number.
#[derive(Default)]
pub(super) struct Orphans(HashMap<u64, Orphan>);

struct Orphan {
    site: &'static Site,
    since: Tick,
    /// `None` as long as it may end soon.
    incident: Option<IncidentId>,
    report_at: Duration,
    seen: Tick,
}

impl Orphans {
    /// Looks at all work that has been left.
    pub(super) fn look(&mut self, now: Tick) {
        for left in flight::left() {
            let since = left.since.unwrap_or(now);
            let new = Orphan { site: left.site, since, incident: None, report_at: SOON, seen: now };
            let orphan = self.0.entry(left.number).or_insert(new);
            orphan.seen = now;
            if now.since(orphan.since) >= orphan.report_at {
                orphan.report(&left, now);
            }
        }
        self.0.retain(|_, orphan| {
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
        let finding = finding(left, elapsed, now);
        match self.incident {
            Some(incident) => incident::again(incident, finding),
            None => {
                let incident = incident::reserve();
                observe::event(&Event::Orphaned { site: self.site });
                incident::open(incident, finding);
                self.incident = Some(incident);
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

fn finding(left: &Left, elapsed: Duration, now: Tick) -> Finding {
    Finding {
        call: left.call,
        thread: Some(flight::thread::name(left.thread)),
        threads: stack::of_work(left),
        polled_by: left.thread,
        note: left.since.is_none().then(|| "work that was handed to `spawn_blocking`".to_owned()),
        ..Finding::of(IncidentKind::Orphan, left.site, now, elapsed)
    }
}
