//! The time within a few milliseconds, for the price of a load.
//!
//! While calls come in numbers, the watchdog keeps this time. A call that begins and ends within one of its ticks need not read the clock.
//! Nobody may conclude from it that something is *over*: what began at a tick may have begun up to [`gap_after`] later.

mod gaps;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*, fence};
use std::thread::Thread;
use std::time::Duration;

use crate::clock::Tick;
use gaps::Gaps;

/// How often the time is kept.
pub(crate) const TICK: Duration = Duration::from_millis(4);

/// What is due later than this can wait for the coarse time; also the longest that the keeper may be kept from its work before
/// a duration could be misjudged.
pub(crate) const FAR: u64 = 1_000_000_000;

/// So many looks at a time that nobody keeps are a reason to keep it.
const WANTED: u32 = 64;

static NOW: Alone = Alone(AtomicU64::new(0));
/// When the keeper set it last: what is [advanced](advance) belongs to the same gap.
static KEPT: AtomicU64 = AtomicU64::new(0);
static GAPS: Gaps = Gaps::new();
static MISSED: AtomicU32 = AtomicU32::new(0);

/// The thread that keeps the time, and when it looks next.
static KEEPER: OnceLock<Thread> = OnceLock::new();
static PLANNED: AtomicU64 = AtomicU64::new(0);

/// On cache lines of its own: every call reads it, and what stands beside is written.
#[repr(align(128))]
struct Alone(AtomicU64);

/// The time at the last tick, in nanoseconds; 0 where nobody keeps it.
#[inline]
pub(crate) fn now() -> u64 {
    NOW.0.load(Acquire)
}

/// How much later than at this tick something may have begun that began at it, in nanoseconds.
pub(crate) fn gap_after(tick: u64) -> u64 {
    GAPS.after(tick)
}

/// Notes that the time was needed and not kept; when that has happened often enough, it is kept.
pub(crate) fn missed() {
    if MISSED.fetch_add(1, Relaxed) + 1 == WANTED {
        wake();
    }
}

/// Something is due then: has the keeper look no later.
pub(crate) fn expect(due: Tick) {
    fence(SeqCst);
    if due.as_nanos() < PLANNED.load(SeqCst) {
        wake();
    }
}

fn wake() {
    if let Some(keeper) = KEEPER.get() {
        keeper.unpark();
    }
}

/// The thread that keeps the time from now on.
pub(crate) fn kept_by(thread: Thread) {
    let _ = KEEPER.set(thread);
}

/// The keeper looks again then.
pub(crate) fn plan(next: Tick) {
    PLANNED.store(next.as_nanos(), SeqCst);
    fence(SeqCst);
}

/// How much it was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nobody asked for it.
    None,
    Some,
    /// So often that it is worth keeping.
    Much,
}

/// How much it was needed since the last question.
pub(crate) fn need() -> Need {
    match MISSED.swap(0, Relaxed) {
        0 => Need::None,
        WANTED.. => Need::Much,
        _ => Need::Some,
    }
}

/// It is `now`. For the keeper alone.
pub(crate) fn keep(now: Tick) {
    widen(now);
    KEPT.store(now.as_nanos(), Relaxed);
    NOW.0.fetch_max(now.as_nanos(), Release);
}

/// Nobody keeps the time from here on.
pub(crate) fn rest(now: Tick) {
    widen(now);
    KEPT.store(0, Relaxed);
    NOW.0.store(0, Release);
}

/// Lets what was concluded from the present tick be concluded anew: the policies have changed.
pub(crate) fn advance() {
    let _ = NOW.0.fetch_update(AcqRel, Relaxed, |now| (now != 0).then(|| now + 1));
}

fn widen(now: Tick) {
    let before = KEPT.load(Relaxed);
    if before != 0 {
        GAPS.note(before, now.as_nanos().saturating_sub(before));
    }
}
