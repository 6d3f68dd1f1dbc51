//! What one thread has to itself: the polls that last on it, free records, and what it knows of each function. Written by that thread alone,
//! so without waiting for others; kept when the thread ends, for the next one.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, Ordering::*};

use arc_swap::ArcSwapOption;

use super::frame::{Frame, Kind, Shown};
use super::freed::Freed;
use super::record::Record;
use super::slot::Slot;
use super::table::Chunk;
use super::thread::Thread;
use crate::shelf::Shelf;
use crate::site::{Site, sites};

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
    top: AtomicU32,
    frames: [Frame; FRAMES],
    deeper: Shelf<Frame>,
    /// By [`Site::id`].
    slots: Box<[OnceLock<Slot>]>,
    /// The first free record, from 1.
    free: AtomicU32,
    freed: Freed,
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
            frames: Default::default(),
            deeper: Shelf::new(),
            slots: sites().iter().map(|_| OnceLock::new()).collect(),
            free: AtomicU32::new(0),
            freed: Freed::new(),
        };
        lane.frames[0].show(&Shown { since: 0, due: u64::MAX, call: 0, kind: Kind::default() });
        lane
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The thread that has it; `None` where none has.
    pub(crate) fn thread(&self) -> Option<std::sync::Arc<Thread>> {
        self.thread.load_full().filter(|_| self.taken.load(Acquire))
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

    /// When the last outermost poll began, in nanoseconds.
    pub(crate) fn last_poll(&self) -> u64 {
        self.frames[1].since()
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

/// The lane of the thread that runs here. It cannot leave the thread, so what it does is done by one thread at a time.
#[derive(Clone, Copy)]
pub(crate) struct Here(&'static Lane, PhantomData<*const ()>);

impl Deref for Here {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        self.0
    }
}

impl Here {
    fn of(lane: &'static Lane) -> Self {
        Self(lane, PhantomData)
    }

    /// The frame of the innermost call, or the one that stands for "outside".
    #[inline]
    pub(crate) fn top(self) -> Inside {
        self.at(self.0.top.load(Relaxed))
    }

    #[inline]
    fn at(self, at: u32) -> Inside {
        Inside { here: self, frame: self.0.frame(at), at }
    }

    /// The frame of the innermost call and the one above it, where these stand ready.
    #[inline]
    pub(crate) fn shallow(self) -> Option<(Inside, Inside)> {
        let at = self.0.top.load(Relaxed);
        let above = self.0.frames.get(at as usize + 1)?;
        let inside = |frame, at| Inside { here: self, frame, at };
        Some((inside(&self.0.frames[at as usize], at), inside(above, at + 1)))
    }

    /// A poll begins inside the innermost one; `leave` ends it.
    #[inline]
    pub(crate) fn enter(self, shown: &Shown) -> Inside {
        let inner = match self.shallow() {
            Some((_, inner)) => inner,
            None => self.above(),
        };
        inner.begin(shown);
        inner
    }

    #[cold]
    fn above(self) -> Inside {
        self.at(self.0.top.load(Relaxed) + 1)
    }

    /// What this thread knows of a function; `None` for one that no attribute made.
    #[inline]
    pub(crate) fn slot(self, site: &'static Site) -> Option<&'static Slot> {
        self.0.slots.get(site.place())?.get()
    }

    /// The same, made where it is new.
    #[cold]
    pub(crate) fn slot_or_new(self, site: &'static Site) -> Option<&'static Slot> {
        let slot = self.0.slots.get(site.id())?;
        match slot.get() {
            Some(slot) => Some(slot),
            None => Some(slot.get_or_init(|| Slot::new(site))),
        }
    }

    /// The first free record, from 1; 0 for none.
    #[inline]
    pub(super) fn free(self) -> u32 {
        self.free.load(Relaxed)
    }

    #[inline]
    pub(super) fn set_free(self, first: u32) {
        self.free.store(first, Relaxed);
    }

    /// One of the records that were given back last.
    #[inline]
    pub(super) fn spare(self) -> Option<&'static Record> {
        SPARES.with(Spares::take)
    }

    /// Keeps a free record at hand; `false` where there are enough.
    #[inline]
    pub(super) fn keep(self, record: &'static Record) -> bool {
        SPARES.with(|spares| spares.keep(record))
    }

    /// A free record, from 1, still in the list; `None` where the table is full.
    pub(super) fn take(self) -> Option<u32> {
        match self.free() {
            0 => self.more(),
            place => Some(place),
        }
    }

    #[cold]
    fn more(self) -> Option<u32> {
        match self.freed.take() {
            0 => Chunk::add(self.number),
            place => Some(place),
        }
    }
}

/// A poll that lasts, in its frame.
#[derive(Clone, Copy)]
pub(crate) struct Inside {
    here: Here,
    frame: &'static Frame,
    at: u32,
}

impl Inside {
    #[inline]
    pub(crate) fn here(self) -> Here {
        self.here
    }

    /// The poll of this frame, which is the one above the innermost, begins.
    #[inline]
    pub(crate) fn begin(self, shown: &Shown) {
        self.frame.show(shown);
        self.here.0.top.store(self.at, Release);
    }

    /// The poll has ended, the innermost one.
    #[inline]
    pub(crate) fn leave(self) {
        self.here.0.top.store(self.at - 1, Release);
    }

    /// Whether this frame stands for "outside every call".
    pub(super) fn is_none(self) -> bool {
        self.at == 0
    }

    /// The poll that this one was begun in.
    #[inline]
    pub(crate) fn outer(self) -> Option<Self> {
        (self.at > 1).then(|| self.here.at(self.at - 1))
    }

    #[inline]
    pub(crate) fn shown(self) -> Shown {
        self.frame.own()
    }

    /// [`Shown::since`].
    #[inline]
    pub(crate) fn since(self) -> u64 {
        self.frame.since()
    }

    /// [`Shown::call`].
    #[inline]
    pub(crate) fn call(self) -> u64 {
        self.frame.call()
    }

    /// [`Shown::due`].
    #[inline]
    pub(crate) fn due(self) -> u64 {
        self.frame.due()
    }

    /// What was done about the call, which began then and had no record.
    #[inline]
    pub(super) fn noted(self, since: u64) -> Option<(u32, u64)> {
        self.frame.noted(since)
    }

    /// The call has a record now.
    pub(super) fn set_call(self, call: u64) {
        self.frame.set_call(call);
    }
}

thread_local! {
    static HERE: Cell<Option<&'static Lane>> = const { Cell::new(None) };
    static SPARES: Spares = const { Spares::new() };
    static CLAIM: Claim = const { Claim };
}

/// Free records of this thread's lane, at hand: the list knows of them by number only.
struct Spares {
    count: Cell<usize>,
    records: [Cell<Option<&'static Record>>; 16],
}

impl Spares {
    const fn new() -> Self {
        Self { count: Cell::new(0), records: [const { Cell::new(None) }; 16] }
    }

    #[inline]
    fn take(&self) -> Option<&'static Record> {
        let last = self.count.get().wrapping_sub(1);
        let record = self.records.get(last)?.get();
        self.count.set(last);
        record
    }

    #[inline]
    fn keep(&self, record: &'static Record) -> bool {
        let Some(place) = self.records.get(self.count.get()) else { return false };
        place.set(Some(record));
        self.count.set(self.count.get() + 1);
        true
    }
}

/// Gives this thread's lane back when the thread ends.
struct Claim;

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(lane) = HERE.take() {
            std::iter::from_fn(|| SPARES.with(Spares::take)).for_each(|record| lane.freed(record));
            lane.thread.store(None);
            lane.tid.store(0, Relaxed);
            lane.runtime.store(0, Relaxed);
            lane.taken.store(false, Release);
        }
    }
}

/// The lane of this thread, if it has one.
#[inline]
pub(crate) fn present() -> Option<Here> {
    HERE.get().map(Here::of)
}

/// The lane of this thread; `None` where the thread is being torn down.
#[inline]
pub(crate) fn here() -> Option<Here> {
    present().or_else(claim)
}

#[cold]
fn claim() -> Option<Here> {
    // What gives the lane back must be there first.
    CLAIM.try_with(|_| ()).ok()?;
    let free = |lane: &&Lane| lane.taken.compare_exchange(false, true, AcqRel, Relaxed).is_ok();
    let lane = LANES.iter().find(free).or_else(|| LANES.add(|place| Lane::new(place + 1)))?;
    lane.top.store(0, Release);
    let thread = Thread::here();
    lane.tid.store(thread.tid, Relaxed);
    lane.thread.store(Some(thread));
    HERE.set(Some(lane));
    Some(Here::of(lane))
}

/// The lane of a number.
pub(crate) fn numbered(number: u32) -> Option<&'static Lane> {
    LANES.get(number.checked_sub(1)?)
}

/// All lanes.
pub(crate) fn lanes() -> impl Iterator<Item = &'static Lane> {
    LANES.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_used_again_when_its_thread_has_ended() {
        let number = || std::thread::spawn(|| here().unwrap().number()).join().unwrap();
        let numbers: Vec<u32> = (0..200).map(|_| number()).collect();
        assert!(numbers.iter().max() < Some(&150), "{numbers:?}");
    }

    #[test]
    fn polls_may_be_nested_deeper_than_the_frames_that_stand_ready() {
        let here = here().unwrap();
        let before = here.top().at;
        let shown = |due| Shown { since: 7, due, call: 0, kind: Kind::default() };
        let entered: Vec<Inside> = (0..200).map(|due| here.enter(&shown(due))).collect();
        assert!(here.polls().map(|(_, shown)| shown.due).take(200).eq((0..200).rev()));
        for (due, inside) in entered.into_iter().enumerate().rev() {
            assert_eq!(here.top().due(), due as u64);
            inside.leave();
        }
        assert_eq!(here.top().at, before);
    }
}
