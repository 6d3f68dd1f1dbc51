//! One look at the whole table.

use super::blocked::Episodes;
use super::finding;
use super::judge::{self, Due, Expiry};
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{self, CallId, FIRED, REPORTED, Record, SILENT, View, WARNED};
use crate::incident;
use crate::observe;

/// Does what is due at `now` for every call; when something is due next.
pub(super) fn sweep(episodes: &mut Episodes, now: Tick) -> Tick {
    let mut next = Tick::NEVER;
    let mut polling = Vec::new();
    for (id, record, view) in flight::views() {
        if view.alarm {
            ring(record, &view, now);
        } else {
            if !view.paused_clock {
                expire(id, record, &view, now);
            }
            if view.polling() {
                polling.push((id, record, view.clone()));
            }
        }
        // Whoever lives by tokio's paused clock is woken by it.
        if !view.paused_clock {
            next = next.min(judge::next(&view, now));
        }
    }
    episodes.watch(&polling, now);
    next
}

fn ring(record: &Record, view: &View, now: Tick) {
    if now >= view.deadline && record.raise(view.generation, FIRED) {
        record.waker.wake();
    }
}

/// Does what the limits of a call demand at `now`; why the call must end, if it must.
///
/// The watchdog calls it for calls by the wall clock; a call by tokio's paused clock calls it for itself.
pub(crate) fn expire(id: CallId, record: &Record, view: &View, now: Tick) -> Option<Expiry> {
    let Due { expired, report, slow } = judge::due(view, now);
    let elapsed = now.since(view.started);
    if slow
        && record.raise(view.generation, WARNED)
        && let Some(site) = view.site
    {
        observe::event(&Event::Slow { site, elapsed, limit: view.deadline.since(view.started) });
    }
    if report && record.raise(view.generation, REPORTED) {
        incident::open(incident::reserve(), finding::limit(id, record, view, now));
    }
    let expiry = expired?;
    end(id, record, view, expiry, now);
    Some(expiry)
}

/// Reports a call whose body has panicked; it is about to leave the table.
pub(crate) fn panicked(id: CallId, record: &Record, now: Tick) {
    if let Some(view) = record.view() {
        incident::open(incident::reserve(), finding::panicked(id, record, &view, now));
    }
}

/// Tells a call to end, and reports why, unless it is its caller's to report.
fn end(id: CallId, record: &Record, view: &View, expiry: Expiry, now: Tick) {
    let flag = match expiry {
        Expiry::Limit => FIRED,
        Expiry::Idle => SILENT,
    };
    if view.inherited && expiry == Expiry::Limit {
        record.raise(view.generation, flag);
    } else {
        // The number stands in the record before the flag that makes the call look for it; the tree is read before the call can end.
        let incident = incident::reserve();
        let finding = match expiry {
            Expiry::Limit => finding::limit(id, record, view, now),
            Expiry::Idle => finding::idle(id, record, view, now),
        };
        record.set_incident(incident.0);
        if record.raise(view.generation, flag) {
            incident::open(incident, finding);
        }
    }
    record.waker.wake();
}
