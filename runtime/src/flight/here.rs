//! The lane of the thread that runs here, and the polls in it: what each guarded call begins with.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::Ordering::*;

use super::frame::{Frame, Shown};
use super::lane::Lane;
use super::record::Record;
use super::slot::Slot;
use super::table::Chunk;
#[cfg(feature = "tch")]
use crate::clock::Tick;
use crate::site::Site;

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

    /// A call began that is not polled, and was looked at closely: such calls come in numbers too.
    #[cfg(feature = "tch")]
    pub(crate) fn called(self, at: Tick) {
        self.0.called.store(at.as_nanos(), Relaxed);
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
        SPARES.try_with(Spares::take).ok().flatten()
    }

    /// Keeps a free record at hand; `false` where there are enough.
    #[inline]
    pub(super) fn keep(self, record: &'static Record) -> bool {
        SPARES.try_with(|spares| spares.keep(record)).unwrap_or(false)
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
            0 => Chunk::add(self.number()),
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
            lane.vacate();
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
    let lane = Lane::claim()?;
    HERE.set(Some(lane));
    Some(Here::of(lane))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::Kind;

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
