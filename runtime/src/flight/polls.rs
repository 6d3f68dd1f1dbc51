//! The polls that last on all threads: calls that are being polled right now, with a record or without.

use super::frame::Shown;
use super::id::CallId;
use super::lane::{self, Lane};
use super::record::Record;
use super::view::{Poll, View};
use crate::clock::Tick;

/// A call that is being polled.
#[derive(Clone, Copy)]
pub(crate) struct Polled {
    pub(crate) id: CallId,
    /// `None` while the call has not waited yet.
    pub(crate) record: Option<&'static Record>,
    pub(crate) view: View,
    pub(crate) poll: Poll,
    /// How many polls it is inside of on its thread.
    pub(crate) depth: u32,
}

impl Polled {
    /// What was noted about it: the flags that would be up.
    pub(crate) fn noted(&self) -> u32 {
        lane::numbered(self.poll.thread).and_then(|lane| lane.noted(self.depth, self.poll.since.as_nanos())).map_or(0, |(flags, _)| flags)
    }

    /// Notes what was done about a call that has no record: the flags that would be up, and the incident.
    pub(crate) fn note(&self, flags: u32, incident: u64) {
        if let Some(lane) = lane::numbered(self.poll.thread) {
            lane.note(self.depth, self.poll.since.as_nanos(), flags, incident);
        }
    }
}

/// Every poll that lasts: thread by thread, the innermost first.
pub(crate) fn polls() -> impl Iterator<Item = Polled> {
    lane::lanes().flat_map(|lane| lane.polls().filter_map(move |(depth, shown)| polled(lane, depth, &shown)))
}

/// The poll of this call that lasts, if one does.
pub(crate) fn poll_of(id: CallId) -> Option<Poll> {
    polls().find(|polled| polled.id == id).map(|polled| polled.poll)
}

fn polled(lane: &'static Lane, depth: u32, shown: &Shown) -> Option<Polled> {
    // A link is no call.
    let plan = shown.plan()?;
    let poll = Poll { thread: lane.number(), since: Tick::from_nanos(shown.since) };
    let record = shown.record();
    let (id, view) = match record {
        Some(record) => (CallId::of(shown.call)?, record.view()?),
        None if shown.call != 0 => return None,
        None => (unrecorded(lane, depth, shown.since), View::plain(plan, shown.kind.bits(), poll.since)),
    };
    let view = View { poll: Some(poll), ..view };
    let view = if record.is_none() { View { parent: below(lane, depth), polls: 1, generation: id.generation, ..view } } else { view };
    Some(Polled { id, record, view, poll, depth })
}

/// The name of a call without a record: no record has it.
fn unrecorded(lane: &Lane, depth: u32, since: u64) -> CallId {
    CallId { place: !(lane.number() << 12 | depth & 0xfff), generation: (since >> 10) as u32 | 1 }
}

fn below(lane: &'static Lane, depth: u32) -> Option<CallId> {
    let (at, shown) = lane.polls().find(|(at, _)| *at < depth)?;
    match shown.record() {
        Some(record) if shown.kind.plan() == 0 => record.parent(),
        Some(_) => CallId::of(shown.call),
        None => Some(unrecorded(lane, at, shown.since)),
    }
}
