//! What one thread has to itself: the polls that last on it, free records, and what it knows of each function. Written by that thread alone,
//! so without waiting for others; kept when the thread ends, for the next one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering::*};

use arc_swap::ArcSwapOption;

use super::frame::{Frame, Kind, Shown};
use super::freed::Freed;
use super::record::Record;
use super::slot::Slot;
use super::thread::Thread;
use crate::shelf::Shelf;
use crate::site::sites;

/// Polls inside each other that need no list.
const FRAMES: usize = 32;

static LANES: Shelf<Lane> = Shelf::new();

/// See the module. On cache lines of its own, because its thread writes all the time.
#[repr(align(128))]
pub(crate) struct Lane {
    /// From 1.
    number: u32,
    taken: AtomicBool,
    thread: ArcSwapOption<Thread>,
    /// The kernel's number of the thread, to be read without so much as a reference count; 0 where there is none.
    tid: AtomicI32,
    /// The place of the runtime that the thread was last seen in, from 1; 0 for none.
    pub(super) runtime: AtomicU8,
    /// The frame of the innermost poll that lasts; the first one stands for "outside every call".
    pub(super) top: AtomicU32,
    /// When a call began that is not polled: see [`Here::called`](super::Here::called).
    pub(super) called: AtomicU64,
    pub(super) frames: [Frame; FRAMES],
    deeper: Shelf<Frame>,
    /// By [`Site::id`].
    pub(super) slots: Box<[OnceLock<Slot>]>,
    /// The first free record, from 1.
    pub(super) free: AtomicU32,
    pub(super) freed: Freed,
}

impl Lane {
    fn new(number: u32) -> Self {
        let lane = Self {
            number,
            taken: AtomicBool::new(true),
            thread: ArcSwapOption::empty(),
            tid: AtomicI32::new(0),
            runtime: AtomicU8::new(0),
            top: AtomicU32::new(0),
            called: AtomicU64::new(0),
            frames: Default::default(),
            deeper: Shelf::new(),
            slots: sites().iter().map(|_| OnceLock::new()).collect(),
            free: AtomicU32::new(0),
            freed: Freed::new(),
        };
        lane.frames[0].show(&Shown { since: 0, due: u64::MAX, call: 0, kind: Kind::default() });
        lane
    }

    /// A lane for this thread: one that nobody has, or a new one.
    pub(super) fn claim() -> Option<&'static Self> {
        let free = |lane: &&Self| lane.taken.compare_exchange(false, true, AcqRel, Relaxed).is_ok();
        let lane = LANES.iter().find(free).or_else(|| LANES.add(|place| Self::new(place + 1)))?;
        lane.top.store(0, Release);
        let thread = Thread::here();
        lane.tid.store(thread.tid, Relaxed);
        lane.thread.store(Some(thread));
        Some(lane)
    }

    /// The thread that has it ends.
    pub(super) fn vacate(&self) {
        self.thread.store(None);
        self.tid.store(0, Relaxed);
        self.runtime.store(0, Relaxed);
        self.taken.store(false, Release);
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The thread that has it; `None` where none has.
    pub(crate) fn thread(&self) -> Option<std::sync::Arc<Thread>> {
        self.thread.load_full().filter(|_| self.taken.load(Acquire))
    }

    /// What reads the thread that has it, without a count of its own.
    pub(super) fn with_thread<R>(&self, read: impl FnOnce(Option<&Thread>) -> R) -> R {
        read(self.thread.load().as_deref().filter(|_| self.taken.load(Acquire)))
    }

    pub(super) fn tid(&self) -> i32 {
        self.tid.load(Relaxed)
    }

    /// The polls that last and how deep, the innermost first.
    pub(crate) fn polls(&self) -> impl Iterator<Item = (u32, Shown)> {
        (1..=self.top.load(Acquire)).rev().filter_map(|at| Some((at, self.frame(at).read()?)))
    }

    /// Notes what was done about a call without a record; see [`Frame::note`].
    pub(super) fn note(&self, at: u32, since: u64, flags: u32, incident: u64) {
        self.frame(at).note(since, flags, incident);
    }

    /// What was noted about the poll that began then.
    pub(super) fn noted(&self, at: u32, since: u64) -> Option<(u32, u64)> {
        self.frame(at).noted(since)
    }

    /// When the last outermost poll began, or the last call without a poll that was looked at closely, in nanoseconds.
    pub(crate) fn last_call(&self) -> u64 {
        self.frames[1].since().max(self.called.load(Relaxed))
    }

    /// Takes a record back, from any thread.
    pub(super) fn freed(&self, record: &Record) {
        self.freed.push(record.place() + 1, |before| record.set_next(before));
    }

    #[inline]
    pub(super) fn frame(&self, at: u32) -> &Frame {
        self.frames.get(at as usize).unwrap_or_else(|| self.deep(at))
    }

    #[cold]
    fn deep(&self, at: u32) -> &Frame {
        let at = at - FRAMES as u32;
        // Frames are entered one after the other, so at most one is missing. A shelf of frames is never full.
        self.deeper.get(at).or_else(|| self.deeper.add(|_| Frame::default())).unwrap_or(&self.frames[FRAMES - 1])
    }
}

/// The lane of a number.
pub(crate) fn numbered(number: u32) -> Option<&'static Lane> {
    LANES.get(number.checked_sub(1)?)
}

/// All lanes.
pub(crate) fn lanes() -> impl Iterator<Item = &'static Lane> {
    LANES.iter()
}
