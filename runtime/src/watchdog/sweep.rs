//! One look at what is due and at all polls that last.

use super::blocked::Episodes;
use super::finding;
use super::judge::{self, Due, Expiry};
use super::unrecorded::Unrecorded;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{self, CallId, Chunk, FIRED, REPORTED, Record, SILENT, View, WARNED};
use crate::incident::{self, Finding};
use crate::observe;

/// What the watchdog remembers from one look to the next.
#[derive(Default)]
pub(super) struct Sweep {
    episodes: Episodes,
    unrecorded: Unrecorded,
    /// Visited at the last look. What came into them at that very moment may not have been seen, so they are visited again.
    visited: Vec<&'static Chunk>,
}

impl Sweep {
    /// Does what is due at `now`; when something is due next.
    pub(super) fn look(&mut self, now: Tick) -> Tick {
        for chunk in std::mem::take(&mut self.visited) {
            chunk.visit(|id, record, view| visit(id, record, view, now));
        }
        for chunk in flight::chunks().filter(|chunk| chunk.due() <= now) {
            chunk.visit(|id, record, view| visit(id, record, view, now));
            self.visited.push(chunk);
        }
        let polls: Vec<_> = flight::polls().collect();
        self.unrecorded.look(&polls, now);
        self.episodes.watch(&polls, now);
        flight::chunks().map(Chunk::due).min().unwrap_or(Tick::NEVER)
    }
}

/// Does what is due for one call; when something is due for it next.
fn visit(id: CallId, record: &'static Record, view: &View, now: Tick) -> Tick {
    match () {
        // Whoever lives by tokio's paused clock is woken by it.
        () if view.paused_clock || view.link => return Tick::NEVER,
        () if view.alarm => ring(record, view, now),
        () => _ = expire(id, record, view, now),
    }
    judge::next(view, now)
}

fn ring(record: &'static Record, view: &View, now: Tick) {
    if now >= view.deadline {
        record.ring(view.generation, FIRED, || ());
    }
}

/// Does what the limits of a call demand at `now`; why the call must end, if it must.
///
/// The watchdog calls it for calls by the wall clock; a call by tokio's paused clock calls it for itself.
pub(crate) fn expire(id: CallId, record: &'static Record, view: &View, now: Tick) -> Option<Expiry> {
    expire_as(finding::limit, id, record, view, now)
}

/// The same for a call whose body has come back with a value: where its limit is only noticed now, it is late.
pub(crate) fn came_back(id: CallId, record: &'static Record, view: &View, now: Tick) -> Option<Expiry> {
    expire_as(finding::late, id, record, view, now)
}

/// How the limit of a call that passed is reported.
type Report = fn(CallId, &View, Tick) -> Finding;

fn expire_as(limit: Report, id: CallId, record: &'static Record, view: &View, now: Tick) -> Option<Expiry> {
    let Due { expired, report, slow } = judge::due(view, now);
    let elapsed = now.since(view.started);
    if slow
        && record.raise(view.generation, WARNED)
        && let Some(site) = view.site
    {
        observe::event(&Event::Slow { site, elapsed, limit: view.deadline.since(view.started) });
    }
    if report && record.raise(view.generation, REPORTED) {
        incident::open(incident::reserve(), limit(id, view, now));
    }
    let expiry = expired?;
    end(limit, id, record, view, expiry, now);
    Some(expiry)
}

/// Reports a call whose body has panicked; it is about to leave the table.
pub(crate) fn panicked(id: CallId, record: &'static Record, now: Tick) {
    if let Some(view) = record.view() {
        incident::open(incident::reserve(), finding::panicked(id, &view, now));
    }
}

/// Tells a call to end, and reports why, unless it is its caller's to report.
fn end(limit: Report, id: CallId, record: &'static Record, view: &View, expiry: Expiry, now: Tick) {
    let flag = match expiry {
        Expiry::Limit => FIRED,
        Expiry::Idle => SILENT,
    };
    if view.inherited && expiry == Expiry::Limit {
        record.set_incident(view, 0);
        record.ring(view.generation, flag, || ());
        return;
    }
    // The number stands in the record before the flag that makes the call look for it; the tree is read before the call can end.
    let opened = incident::admit().map(|incident| match expiry {
        Expiry::Limit => (incident, limit(id, view, now)),
        Expiry::Idle => (incident, finding::idle(id, record, view, now)),
    });
    record.set_incident(view, opened.as_ref().map_or(0, |(incident, _)| incident.0));
    record.ring(view.generation, flag, || {
        if let Some((incident, finding)) = opened {
            incident::open(incident, finding);
        }
    });
}
