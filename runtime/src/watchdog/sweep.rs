//! One look at what is due and at all polls that last.

use super::blocked::Episodes;
use super::finding;
use super::found::{Ending, Found, Report};
use super::judge::{self, Due, Expiry};
use super::unrecorded;
use crate::clock::Tick;
use crate::flight::{self, ALONE, CallId, Chunk, FIRED, Group, REPORTED, Record, SILENT, View, WARNED, chunks};
use crate::incident::{self, Occasion, Sighting};

/// What the watchdog remembers from one look to the next.
pub(super) struct Sweep {
    episodes: Episodes,
    /// Visited at the last look. What came into them at that very moment may not have been seen, so they are visited again.
    visited: Vec<&'static Chunk>,
    /// There were more of them: all are visited again.
    overflown: bool,
    /// Whether a poll lasted then.
    polled: bool,
    found: Found,
}

/// Chunks that are remembered from one look to the next.
const VISITED: usize = 4096;

impl Sweep {
    /// With all the room that it ever takes.
    pub(super) fn new() -> Self {
        let (episodes, visited) = (Episodes::new(), Vec::with_capacity(VISITED));
        Self { episodes, visited, overflown: false, polled: false, found: Found::with_room() }
    }

    /// Does what is due at `now`; when something is due next.
    pub(super) fn look(&mut self, now: Tick) -> Tick {
        let Self { visited, overflown, found, .. } = self;
        if std::mem::take(overflown) {
            visited.clear();
            chunks().for_each(|chunk| chunk.visit(|id, record, view| visit(found, id, record, view, now)));
        }
        for chunk in visited.drain(..) {
            chunk.visit(|id, record, view| visit(found, id, record, view, now));
        }
        for group in flight::groups().filter(|group| group.due() <= now) {
            group.visit(now, |chunk| {
                chunk.visit(|id, record, view| visit(found, id, record, view, now));
                if visited.len() < VISITED {
                    visited.push(chunk);
                } else {
                    *overflown = true;
                }
            });
        }
        found.report();
        self.look_at_polls(now);
        flight::groups().map(Group::due).min().unwrap_or(Tick::NEVER)
    }

    fn look_at_polls(&mut self, now: Tick) {
        self.polled = false;
        let mut inner = None;
        for polled in flight::polls() {
            self.polled = true;
            if polled.record.is_none() {
                unrecorded::look(&polled, now);
            }
            self.episodes.look(&polled, inner.replace(polled.poll), now);
        }
        self.episodes.end_look(now);
    }

    /// Whether no poll lasted at the last look, and nothing was due: a call that ends may leave something behind.
    pub(super) fn is_calm(&self) -> bool {
        !self.polled && self.visited.is_empty() && !self.overflown
    }
}

/// Does what is due for one call; when something is due for it next.
fn visit(found: &mut Found, id: CallId, record: &'static Record, view: &View, now: Tick) -> Tick {
    match () {
        // Whoever lives by tokio's paused clock is woken by it.
        () if view.paused_clock || view.link => return Tick::NEVER,
        () if view.alarm => sound(record, view, now),
        () if judge::waits_for_caller(view, now) && is_left_to_caller(record, view) => {}
        () => _ = expire_as(finding::limit, found, id, record, view, now),
    }
    judge::next(view, now)
}

/// Whether the caller ends the call. One that is gone may be dropping it just now, so it is looked for twice.
fn is_left_to_caller(record: &Record, view: &View) -> bool {
    flight::has_caller(view) || view.within && record.raise(view.generation, ALONE)
}

fn sound(record: &'static Record, view: &View, now: Tick) {
    if now >= view.deadline {
        ring(record, view, FIRED, || ());
    }
}

fn ring(record: &'static Record, view: &View, flag: u32, before: impl FnOnce()) {
    if record.ring(view.generation, flag, before) {
        incident::vacate(record);
    }
}

/// Does what the limits of a call demand at `now`; why the call must end, if it must.
///
/// The watchdog does so for calls by the wall clock; a call by tokio's paused clock calls this for itself.
pub(crate) fn expire(id: CallId, record: &'static Record, view: &View, now: Tick) -> Option<Expiry> {
    alone(finding::limit, id, record, view, now)
}

/// The same for a call whose body has come back with a value: where its limit is only noticed now, it is late.
pub(crate) fn came_back(id: CallId, record: &'static Record, view: &View, now: Tick) -> Option<Expiry> {
    let expiry = alone(finding::late, id, record, view, now);
    // Left to its caller, who reports that: it is late all the same.
    expiry.or_else(|| (now >= view.deadline && !view.only_report).then_some(Expiry::Limit))
}

fn alone(limit: Report, id: CallId, record: &'static Record, view: &View, now: Tick) -> Option<Expiry> {
    let mut found = Found::default();
    let left = judge::waits_for_caller(view, now) && flight::has_caller(view);
    let view = &View { deadline: if left { Tick::NEVER } else { view.deadline }, ..*view };
    let expiry = expire_as(limit, &mut found, id, record, view, now);
    found.report();
    expiry
}

fn expire_as(limit: Report, found: &mut Found, id: CallId, record: &'static Record, view: &View, now: Tick) -> Option<Expiry> {
    let Due { expired, report, slow } = judge::due(view, now);
    let elapsed = now.since(view.started);
    if slow
        && record.raise(view.generation, WARNED)
        && let Some(site) = view.site
    {
        found.slow(site, elapsed, view.deadline.since(view.started));
    }
    if report && record.raise(view.generation, REPORTED) {
        incident::sighted(Occasion::First, Sighting { id: incident::reserve(), ..limit(id, view, now) });
    }
    let expiry = expired?;
    end(limit, found, id, record, view, expiry, now);
    Some(expiry)
}

/// Reports a call whose body has panicked; it is about to leave the table.
pub(crate) fn panicked(id: CallId, record: &'static Record, now: Tick) {
    if let Some(view) = record.view() {
        incident::sighted(Occasion::First, Sighting { id: incident::reserve(), ..finding::panicked(id, &view, now) });
    }
}

/// Tells a call to end, and reports why, unless it is its caller's to report.
fn end(limit: Report, found: &mut Found, id: CallId, record: &'static Record, view: &View, expiry: Expiry, now: Tick) {
    let flag = match expiry {
        Expiry::Limit => FIRED,
        Expiry::Idle => SILENT,
    };
    if view.inherited && expiry == Expiry::Limit {
        record.set_incident(view, 0);
        ring(record, view, flag, || ());
        return;
    }
    // The number stands in the record before the flag that makes the call look for it; the tree is read before the call can end.
    let ending = found.look(limit, id, record, view, expiry, now);
    record.set_incident(view, ending.as_ref().map_or(0, Ending::incident));
    ring(record, view, flag, || ending.into_iter().for_each(|ending| found.add(ending, record, view, expiry)));
}
