//! Polls that do not return: one episode each, reported when it begins, again whenever it has lasted twice as long, and when it ends.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::finding;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{self, CallId, Record, View};
use crate::incident::{self, IncidentId};
use crate::observe;
use crate::site::Site;

/// The episodes that last.
#[derive(Default)]
pub(super) struct Episodes(HashMap<CallId, Episode>);

struct Episode {
    /// `None` while the host is to blame.
    incident: Option<IncidentId>,
    site: &'static Site,
    polls: u64,
    thread: String,
    since: Tick,
    report_at: Duration,
}

impl Episodes {
    /// Looks at all calls that are being polled.
    pub(super) fn watch(&mut self, polling: &[(CallId, &'static Record, View)], now: Tick) {
        self.end_those_not_in(polling, now);
        // Of nested calls the innermost is to blame: its callers only wait for it.
        let callers: HashSet<CallId> = polling.iter().filter_map(|(_, _, view)| view.parent).collect();
        for (id, record, view) in polling {
            let elapsed = record.seen.watch(view, now);
            if !callers.contains(id) && elapsed >= self.0.get(id).map_or(view.blocked_after, |episode| episode.report_at) {
                self.report(*id, record, view, elapsed, now);
            }
        }
    }

    fn report(&mut self, id: CallId, record: &Record, view: &View, elapsed: Duration, now: Tick) {
        let Some(site) = view.site else { return };
        let thread = flight::thread::name(view.thread);
        let mut finding = finding::blocked(id, record, view, elapsed, thread.clone(), now);
        let incident = match self.0.get(&id).and_then(|episode| episode.incident) {
            Some(incident) => {
                incident::again(incident, finding);
                Some(incident)
            }
            None => (!incident::holds_back(&mut finding)).then(|| {
                observe::event(&Event::Blocked { site, thread: &thread, elapsed });
                let incident = incident::reserve();
                incident::open(incident, finding);
                incident
            }),
        };
        // What the host excuses now is judged anew, soon.
        let report_at = elapsed + if incident.is_some() { elapsed } else { view.blocked_after.max(elapsed / 2) };
        let since = now.before(elapsed);
        self.0.insert(id, Episode { incident, site, polls: view.polls, thread, since, report_at });
    }

    fn end_those_not_in(&mut self, polling: &[(CallId, &'static Record, View)], now: Tick) {
        if self.0.is_empty() {
            return;
        }
        let lasting: HashMap<CallId, u64> = polling.iter().map(|(id, _, view)| (*id, view.polls)).collect();
        self.0.retain(|id, episode| {
            let lasts = lasting.get(id) == Some(&episode.polls);
            if !lasts {
                let Episode { incident, site, thread, since, .. } = episode;
                if let Some(incident) = incident {
                    incident::end(*incident);
                    observe::event(&Event::Unblocked { site, thread, elapsed: now.since(*since) });
                }
            }
            lasts
        });
    }
}
