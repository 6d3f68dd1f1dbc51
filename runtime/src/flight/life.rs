//! Whether a record is in use, and who may touch its waker: where the table's `unsafe` is explained.
//!
//! ```text
//!            open                       ring                     the bell rests
//! free ─────────────▶ live ───────────────────────▶ ringing ───────────────────▶ live, flag up
//!   ▲                  │ ▲                             │
//!   │      close       │ │ replaced                    │ close
//!   ◀──────────────────┘ ▼                             ▼
//!   ▲                  updating                  ringing, left
//!   └─────────────────────────────────────────────────┘ the one who rings has it freed
//! ```
//!
//! The *owner* is the call that took the record: it alone opens, replaces the waker and closes. Anybody may raise flags and ring. The waker is
//! written by the owner alone, and only while nobody rings; it is read by whoever rings, and by the owner.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::*;
use std::task::Waker;

use super::sync::{AtomicU64, UnsafeCell};

const LIVE: u32 = 1;
/// Somebody reads the waker: it must stay.
const RINGING: u32 = 1 << 1;
/// The owner has closed while somebody rang.
const LEFT: u32 = 1 << 2;
/// The owner writes the waker: nobody must read it.
const UPDATING: u32 = 1 << 3;
/// The first bit for flags and kinds; those below are this module's.
pub(crate) const FIRST_FLAG: u32 = 1 << 4;

/// A reading of a record's state: its generation, and its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(u64);

impl State {
    /// How often the record was taken into use.
    #[inline]
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Flags and kinds.
    #[inline]
    pub(crate) fn bits(self) -> u32 {
        self.0 as u32
    }

    /// Whether a call has the record.
    #[inline]
    pub(crate) fn live(self) -> bool {
        self.bits() & (LIVE | LEFT) == LIVE
    }
}

/// What became of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// The call is gone, or the flag was up before.
    Refused,
    /// The flag is up, and whoever waits is woken.
    Raised,
    /// The same, and the owner has left meanwhile: the record is free, and who rang gives it back.
    Vacant,
}

/// See the module.
pub(crate) struct Life {
    /// `generation << 32 | bits`.
    state: AtomicU64,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the waker, the only part that is not an atomic, is `Send + Sync`, and the states above keep its writer alone.
unsafe impl Sync for Life {}

impl Life {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU64::new(0), waker: UnsafeCell::new(None) }
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        State(self.state.load(Acquire))
    }

    /// Takes the record into use and gives its new generation.
    ///
    /// # Safety
    /// The record is free, and nobody but the caller has taken it from where free records are kept.
    #[inline]
    pub(crate) unsafe fn open(&self, bits: u32, waker: Option<Waker>) -> u32 {
        let generation = State(self.state.load(Relaxed)).generation().wrapping_add(1).max(1);
        // SAFETY: of a free record nobody reads the waker, and by the contract nobody else opens it.
        self.waker.with_mut(|cell| unsafe { *cell = waker });
        self.state.store(u64::from(generation) << 32 | u64::from(bits | LIVE), Release);
        generation
    }

    /// Raises `flag` if the call of this generation still runs and the flag was down.
    pub(crate) fn raise(&self, generation: u32, flag: u32) -> bool {
        let raised = |state| open_to(State(state), generation, flag).then_some(state | u64::from(flag));
        self.state.fetch_update(AcqRel, Acquire, raised).is_ok()
    }

    /// Takes flags down. For the owner.
    pub(crate) fn lower(&self, flags: u32) {
        self.state.fetch_and(!u64::from(flags), AcqRel);
    }

    /// Raises `flag` as [`raise`](Self::raise) does, then does `before` and wakes the call.
    pub(crate) fn ring(&self, generation: u32, flag: u32, before: impl FnOnce()) -> Rung {
        let raised = |state| {
            let quiet = State(state).bits() & (RINGING | UPDATING) == 0;
            let more = flag | if quiet { RINGING } else { 0 };
            open_to(State(state), generation, flag).then_some(state | u64::from(more))
        };
        let Ok(state) = self.state.fetch_update(AcqRel, Acquire, raised) else { return Rung::Refused };
        before();
        // Who rings already wakes the call; an owner that writes the waker looks at the flags when it has.
        if State(state).bits() & (RINGING | UPDATING) == 0 { self.wake() } else { Rung::Raised }
    }

    /// Wakes the call. `RINGING` is ours.
    fn wake(&self) -> Rung {
        self.waker.with(|cell| {
            // SAFETY: `RINGING` is up, so nobody writes the waker until we take it down.
            if let Some(waker) = unsafe { &*cell } {
                // A waker is the executor's code: its panic must not end the thread that rings.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake_by_ref()));
            }
        });
        let before = State(self.state.fetch_and(!u64::from(RINGING), AcqRel));
        if before.bits() & LEFT == 0 { Rung::Raised } else { Rung::Vacant }
    }

    /// The owner waits: `waker` is woken by the next ring, or at once where a flag of `over` is up that may have woken nobody.
    #[inline]
    pub(crate) fn wait(&self, waker: &Waker, over: u32) {
        // SAFETY: the owner alone writes the waker, and the owner is here.
        let present = self.waker.with(|cell| unsafe { (*cell).as_ref().is_some_and(|present| same(present, waker)) });
        if !present {
            self.replace(waker, over);
        }
    }

    #[cold]
    fn replace(&self, waker: &Waker, over: u32) {
        let new = Some(waker.clone());
        let quiet = |state| (State(state).bits() & RINGING == 0).then_some(state | u64::from(UPDATING));
        if self.state.fetch_update(AcqRel, Acquire, quiet).is_err() {
            return waker.wake_by_ref();
        }
        // SAFETY: `UPDATING` is up, so nobody begins to read the waker; nobody read it when it went up.
        let old = self.waker.with_mut(|cell| unsafe { std::mem::replace(&mut *cell, new) });
        let before = State(self.state.fetch_and(!u64::from(UPDATING), AcqRel));
        drop(old);
        if before.bits() & over != 0 {
            waker.wake_by_ref();
        }
    }

    /// The owner gives the record up; whether it is free now, or will be when the ring that goes on is over.
    #[must_use = "who is told that the record is free gives it back"]
    #[inline]
    pub(crate) fn close(&self) -> bool {
        let end = |state| if ringing(state) { state | u64::from(LEFT) } else { state & !u64::from(u32::MAX) };
        let mut before = self.state.load(Relaxed);
        while let Err(now) = self.state.compare_exchange_weak(before, end(before), AcqRel, Relaxed) {
            before = now;
        }
        if ringing(before) {
            return false;
        }
        // SAFETY: the record is not live any more, so nobody begins to ring; nobody rang when it ended.
        drop(self.waker.with_mut(|cell| unsafe { (*cell).take() }));
        true
    }

    /// Lets go of the waker of a record that its owner left while it rang, and frees it. For whoever rang, or whoever that one asks: what goes with
    /// the waker may take the heap.
    pub(crate) fn vacate(&self) {
        // SAFETY: the owner has left, and we were the one who rang.
        let waker = self.waker.with_mut(|cell| unsafe { (*cell).take() });
        let _ = catch_unwind(AssertUnwindSafe(|| drop(waker)));
        self.state.fetch_and(!u64::from(u32::MAX), AcqRel);
    }
}

/// Whether both wake the same task. `will_wake` alone compares the places of their tables, of which a program may have several that say the
/// same: then a clone never seems to wake what its original does.
#[inline]
fn same(one: &Waker, other: &Waker) -> bool {
    one.will_wake(other) || (one.data() == other.data() && one.vtable() == other.vtable())
}

fn open_to(state: State, generation: u32, flag: u32) -> bool {
    state.live() && state.generation() == generation && state.bits() & flag == 0
}

#[inline]
fn ringing(state: u64) -> bool {
    State(state).bits() & RINGING != 0
}
