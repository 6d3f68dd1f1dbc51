//! One poll that lasts: written by the thread that polls, read by the watchdog.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*, fence};

use super::id::CallId;
use super::plan::Plan;
use super::record::Record;
use super::table;

/// What a poll shows of its call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// When the poll began, in nanoseconds.
    pub(crate) since: u64,
    /// What [`Terms::due`](super::Terms::due) says of the call.
    pub(crate) due: u64,
    /// The number of the call; 0 while it has no record.
    pub(crate) call: u64,
    pub(crate) kind: Kind,
}

/// What a call runs under, and what sort of call it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kind(u64);

impl Kind {
    /// Of the number of a plan, 0 for a link to a call, and of what a record gets as bits.
    #[inline]
    pub(crate) const fn new(plan: u32, bits: u32) -> Self {
        Self((bits as u64) << 32 | plan as u64)
    }

    /// The same with more bits.
    #[inline]
    pub(crate) const fn with(self, bits: u32) -> Self {
        Self(self.0 | (bits as u64) << 32)
    }

    /// The number of the plan.
    #[inline]
    pub(crate) const fn plan(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(crate) const fn bits(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A [`Kind`] that one thread writes.
#[derive(Debug, Default)]
pub(super) struct AtomicKind(AtomicU64);

impl AtomicKind {
    #[inline]
    pub(super) fn get(&self) -> Kind {
        Kind(self.0.load(Relaxed))
    }

    #[inline]
    pub(super) fn set(&self, kind: Kind) {
        self.0.store(kind.0, Relaxed);
    }
}

impl Shown {
    /// The call's record, where it has one and still runs.
    pub(crate) fn record(&self) -> Option<&'static Record> {
        table::running(CallId::of(self.call)?)
    }

    pub(crate) fn plan(&self) -> Option<&'static Plan> {
        Plan::get(self.kind.plan())
    }
}

/// See the module. One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Frame {
    since: AtomicU64,
    due: AtomicU64,
    call: AtomicU64,
    kind: AtomicKind,
    note: Note,
}

/// What the watchdog has done about a call without a record, for the record that it may take.
#[derive(Debug, Default)]
struct Note {
    /// The poll that it is about.
    since: AtomicU64,
    flags: AtomicU32,
    incident: AtomicU64,
}

impl Frame {
    /// Notes the flags that would be up in a record, and the incident. For the watchdog alone.
    ///
    /// Calls that the watchdog has something to do about have lasted longer than a tick, so no other one began at the same time.
    pub(super) fn note(&self, since: u64, flags: u32, incident: u64) {
        self.note.since.store(0, Relaxed);
        fence(Release);
        self.note.flags.store(flags, Relaxed);
        self.note.incident.store(incident, Relaxed);
        self.note.since.store(since, Release);
    }

    /// What was noted about the call that began then.
    #[inline]
    pub(super) fn noted(&self, since: u64) -> Option<(u32, u64)> {
        (self.note.since.load(Acquire) == since).then(|| (self.note.flags.load(Relaxed), self.note.incident.load(Relaxed)))
    }

    #[inline]
    pub(super) fn show(&self, shown: &Shown) {
        self.since.store(shown.since, Relaxed);
        // Who reads one of those below also sees that the poll is another one.
        fence(Release);
        self.due.store(shown.due, Relaxed);
        self.call.store(shown.call, Relaxed);
        self.kind.set(shown.kind);
    }

    /// As it stands. For the thread that polls.
    #[inline]
    pub(super) fn own(&self) -> Shown {
        Shown { since: self.since.load(Relaxed), due: self.due.load(Relaxed), call: self.call.load(Relaxed), kind: self.kind.get() }
    }

    /// As it stands; `None` where the poll has changed meanwhile. For other threads.
    pub(super) fn read(&self) -> Option<Shown> {
        let since = self.since.load(Acquire);
        let shown = self.own();
        fence(Acquire);
        (self.since.load(Relaxed) == since && shown.since == since).then_some(shown)
    }

    #[inline]
    pub(super) fn due(&self) -> u64 {
        self.due.load(Relaxed)
    }

    #[inline]
    pub(super) fn call(&self) -> u64 {
        self.call.load(Relaxed)
    }

    pub(super) fn set_call(&self, call: u64) {
        self.call.store(call, Relaxed);
    }

    #[inline]
    pub(super) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }
}
