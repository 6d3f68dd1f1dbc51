//! One running call, as plain atomics: written by the call, read by the watchdog, locked by nobody. One cache line; what only some calls
//! need stands in an [`Extra`].

mod more;

use std::sync::atomic::Ordering::*;
use std::sync::atomic::fence;
use std::task::Waker;

use super::bits::*;
use super::extra::{Extra, Limits};
use super::id::CallId;
use super::life::{Life, Rung, State};
use super::plan::Plan;
use super::sync::{AtomicU32, AtomicU64};
use super::view::View;
use crate::clock::{Clock, Tick};
use crate::coarse;

/// What is known about a call when it takes a record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    /// The number of its plan; 0 for an alarm and a link.
    pub(crate) plan: u32,
    pub(crate) parent: Option<CallId>,
    pub(crate) started: Tick,
    /// What [`Terms::due`](super::terms::Terms::due) says.
    pub(crate) due: u64,
    /// The kind of call: bits from [`INHERITED`] on.
    pub(crate) bits: u32,
}

/// See the module.
#[repr(align(64))]
pub(crate) struct Record {
    life: Life,
    place: u32,
    /// Twice the number of polls, plus one while a poll lasts.
    polls: AtomicU32,
    plan: AtomicU32,
    /// The place of its extra; 0 without one.
    extra: AtomicU32,
    started: AtomicU64,
    /// What [`Terms::due`](super::terms::Terms::due) says; once the call must end, the number of the incident that reports it.
    due: AtomicU64,
    /// The call that this one was made in; of a free record the next free one.
    parent: AtomicU64,
}

impl Record {
    pub(super) fn new(place: u32, next: u32) -> Self {
        Self {
            life: Life::new(),
            place,
            polls: AtomicU32::new(0),
            plan: AtomicU32::new(0),
            extra: AtomicU32::new(0),
            started: AtomicU64::new(0),
            due: AtomicU64::new(0),
            parent: AtomicU64::new(u64::from(next)),
        }
    }

    #[inline]
    pub(super) fn place(&self) -> u32 {
        self.place
    }

    /// The next free record, from 1; of a free record.
    #[inline]
    pub(super) fn next(&self) -> u32 {
        self.parent.load(Relaxed) as u32
    }

    #[inline]
    pub(super) fn set_next(&self, next: u32) {
        self.parent.store(u64::from(next), Relaxed);
    }

    /// Takes the record into use.
    ///
    /// # Safety
    /// As [`Life::open`].
    #[inline]
    pub(super) unsafe fn open(&self, entry: &Entry, waker: Option<Waker>) {
        // Who reads one of those below also sees that the call before has ended.
        fence(Release);
        self.polls.store(0, Relaxed);
        self.plan.store(entry.plan, Relaxed);
        self.started.store(entry.started.as_nanos(), Relaxed);
        self.due.store(entry.due, Relaxed);
        self.parent.store(entry.parent.map_or(0, CallId::number), Relaxed);
        if self.extra.load(Relaxed) != 0 {
            // Somebody gave a sign of life to the call that was here before, after its end.
            self.with_extra(Extra::clear);
        }
        // SAFETY: by the contract.
        unsafe { self.life.open(entry.bits, waker) };
    }

    /// The owner is through; whether the record is free now.
    #[inline]
    pub(super) fn close(&self) -> bool {
        self.life.close()
    }

    /// Gives back what was lent to the record. Of a free record only.
    #[inline]
    pub(super) fn strip(&self) {
        if self.extra.load(Relaxed) != 0
            && let Some(extra) = Extra::at(self.extra.swap(0, AcqRel))
        {
            extra.give_back();
        }
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.life.state()
    }

    /// The number of the call that has the record, as this reading of its state says.
    #[inline]
    pub(crate) fn number(&self, state: State) -> u64 {
        CallId { place: self.place, generation: state.generation() }.number()
    }

    /// The name of the call that has the record.
    #[inline]
    pub(crate) fn id(&self) -> CallId {
        CallId { place: self.place, generation: self.state().generation() }
    }

    /// The flags that are up, and the kind of call.
    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        self.state().bits()
    }

    /// Raises `flag` if the call of this generation still runs and the flag was down.
    pub(crate) fn raise(&self, generation: u32, flag: u32) -> bool {
        self.life.raise(generation, flag)
    }

    /// Raises `flag` likewise, does `before`, and wakes the call. Whether its owner left meanwhile: then somebody must [`vacate`](Self::vacate).
    #[must_use]
    pub(crate) fn ring(&'static self, generation: u32, flag: u32, before: impl FnOnce()) -> bool {
        self.life.ring(generation, flag, before) == Rung::Vacant
    }

    /// Frees a record whose owner left while it rang. Takes the heap.
    pub(crate) fn vacate(&'static self) {
        self.life.vacate();
        super::table::give_back(self);
    }

    /// The call waits: the next ring wakes `waker`; a flag that is up already wakes it now.
    #[inline]
    pub(crate) fn wait(&self, waker: &Waker) {
        self.life.wait(waker, OVER);
    }

    /// Notes that a poll begins.
    #[inline]
    pub(crate) fn begin_poll(&self) {
        self.polls.store(self.polls.load(Relaxed) | 1, Release);
    }

    /// Notes that the poll has returned.
    #[inline]
    pub(crate) fn end_poll(&self) {
        self.polls.store((self.polls.load(Relaxed) | 1).wrapping_add(1), Release);
    }

    /// Whether a poll lasts, or has ended by a panic.
    pub(crate) fn in_poll(&self) -> bool {
        self.polls.load(Relaxed) & 1 == 1
    }

    /// What the call runs under; `None` for an alarm and a link.
    pub(crate) fn plan(&self) -> Option<&'static Plan> {
        Plan::get(self.plan.load(Relaxed))
    }

    #[inline]
    pub(crate) fn plan_number(&self) -> u32 {
        self.plan.load(Relaxed)
    }

    #[inline]
    pub(crate) fn started(&self) -> Tick {
        Tick::from_nanos(self.started.load(Relaxed))
    }

    #[inline]
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Relaxed)
    }

    /// The call that this one was made in; a link stands for the call that it was taken from.
    #[inline]
    pub(crate) fn parent(&self) -> Option<CallId> {
        CallId::of(self.parent.load(Relaxed))
    }

    /// Whether the call of this generation still runs.
    pub(crate) fn is(&self, generation: u32) -> bool {
        let state = self.state();
        state.live() && state.generation() == generation
    }

    /// The clock that the call lives by.
    pub(crate) fn clock(&self) -> Clock {
        if self.flags() & PAUSED != 0 { Clock::Paused } else { Clock::Wall }
    }

    /// The incident that reports the end of this call; 0 without one.
    pub(crate) fn incident(&self) -> u64 {
        if self.flags() & OVER != 0 { self.due.load(Acquire) } else { 0 }
    }

    /// Notes the incident, before the flag that makes the call look for it is raised; not where another call has come meanwhile.
    pub(crate) fn set_incident(&self, view: &View, incident: u64) {
        let noted = self.due.compare_exchange(view.due, incident, AcqRel, Relaxed).is_ok();
        // Another call may have the record and be due at the same time, where that is not a time.
        if noted && !self.is(view.generation) {
            let _ = self.due.compare_exchange(incident, view.due, AcqRel, Relaxed);
        }
    }

    /// Raises the flags that would have been up before the call had a record.
    #[cold]
    pub(super) fn take_over(&'static self, flags: u32, incident: u64) {
        let generation = self.id().generation;
        self.raise(generation, flags & WARNED);
        if flags & FIRED != 0 {
            self.due.store(incident, Relaxed);
            if self.ring(generation, FIRED, || ()) {
                self.vacate();
            }
        }
    }

    /// Everything a judge needs, read at one moment; `None` where no call runs here.
    pub(crate) fn view(&self) -> Option<View> {
        let state = self.state();
        if !state.live() {
            return None;
        }
        let (started, parent, due) = (self.started(), self.parent(), self.due());
        let polls = u64::from(self.polls.load(Acquire));
        let view = if state.bits() & (ALARM | LINK | LAYERED) == 0 {
            View::plain(self.plan()?, state.bits(), started)
        } else {
            let limits = self.with_extra(Extra::limits).unwrap_or(Limits::NONE);
            View::layered(self.plan(), state.bits(), started, &limits)
        };
        let (beat, vouched_until) = self.with_extra(|extra| (extra.last_beat(), extra.last_hold())).unwrap_or_default();
        let view = View {
            generation: state.generation(),
            parent,
            polls,
            beat: beat.max(started),
            vouched_until,
            due,
            thread: super::table::thread(self),
            ..view
        };
        // A call that ended meanwhile may have left a mixture: the next sweep sees whoever came after it.
        fence(Acquire);
        self.is(view.generation).then_some(view)
    }
}

/// So many nanoseconds after the beginning of a call, or little less: a look that comes too early finds out when the next one is due.
#[inline]
pub(super) fn soon_after(nanos: u64, bits: u32, started: Tick) -> Tick {
    let gap = if bits & COARSE != 0 { coarse::TICK.as_nanos() as u64 } else { 0 };
    Tick::from_nanos(started.as_nanos().saturating_add(gap).saturating_add(nanos))
}

/// How much later than it says a call may have begun, in nanoseconds.
#[inline]
pub(super) fn gap(bits: u32, started: Tick) -> u64 {
    if bits & COARSE != 0 { coarse::gap_after(started.as_nanos()) } else { 0 }
}
