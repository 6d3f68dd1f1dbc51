//! The calls of one function that one thread has counted, or all threads together.
//!
//! A call that goes well costs three additions: one when it starts, two in its bucket of durations. Where one thread counts alone, an addition
//! is a load and a store.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{self, Relaxed, Release};
use std::time::Duration;

use super::buckets;
use crate::clock::Tick;
use crate::outcome::Outcome;

/// See the module. On cache lines of its own, because its thread writes all the time.
#[repr(align(64))]
pub(crate) struct Shard {
    pub(super) started: AtomicU64,
    pub(super) last_started: AtomicU64,
    pub(super) last_finished: AtomicU64,
    pub(super) longest: AtomicU64,
    /// By outcome; that of `Ok` is not used.
    pub(super) outcomes: [AtomicU64; Outcome::ALL.len()],
    pub(super) durations: [Bucket; buckets::COUNT],
}

/// Calls whose duration fell into one bucket.
pub(super) struct Bucket {
    pub(super) calls: AtomicU64,
    pub(super) nanos: AtomicU64,
}

impl Shard {
    pub(crate) const fn new() -> Self {
        Self {
            started: AtomicU64::new(0),
            last_started: AtomicU64::new(0),
            last_finished: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            outcomes: [const { AtomicU64::new(0) }; Outcome::ALL.len()],
            durations: [const { Bucket { calls: AtomicU64::new(0), nanos: AtomicU64::new(0) } }; buckets::COUNT],
        }
    }

    /// A call began. For the one thread that counts here.
    #[inline]
    pub(crate) fn start_alone(&self) {
        add(&self.started, 1, Relaxed);
    }

    /// An attempt began then.
    pub(crate) fn started_at(&self, at: Tick) {
        self.last_started.store(at.as_nanos(), Relaxed);
    }

    /// A call ended well that took so long, which is of this bucket; `false` where there is no such bucket. For the one thread that counts here.
    #[inline]
    pub(crate) fn finish_alone(&self, at: Tick, nanos: u64, bucket: u32) -> bool {
        let Some(bucket) = self.durations.get(bucket as usize) else { return false };
        add(&bucket.nanos, nanos, Relaxed);
        // Whoever sees this call measured also sees how it ended.
        add(&bucket.calls, 1, Release);
        self.last_finished.store(at.as_nanos(), Relaxed);
        true
    }

    /// A call ended; any thread may say so. Gives back when the one before it ended.
    pub(crate) fn finish(&self, at: Tick, outcome: Outcome, nanos: u64) -> Tick {
        self.end(at, outcome, nanos, |counter, more, order| _ = counter.fetch_add(more, order))
    }

    /// The same, for the one thread that counts here.
    pub(crate) fn end_alone(&self, at: Tick, outcome: Outcome, nanos: u64) -> Tick {
        self.end(at, outcome, nanos, add)
    }

    fn end(&self, at: Tick, outcome: Outcome, nanos: u64, add: impl Fn(&AtomicU64, u64, Ordering)) -> Tick {
        if outcome != Outcome::Ok {
            add(&self.outcomes[outcome as usize], 1, Relaxed);
        }
        if outcome != Outcome::Rejected {
            let bucket = &self.durations[buckets::index(nanos)];
            add(&bucket.nanos, nanos, Relaxed);
            add(&bucket.calls, 1, Release);
            if nanos > self.longest.load(Relaxed) {
                self.longest.fetch_max(nanos, Relaxed);
            }
        }
        let before = self.last_finished.load(Relaxed);
        self.last_finished.store(at.as_nanos(), Relaxed);
        Tick::from_nanos(before)
    }
}

/// `counter += more`, where one thread writes it.
#[inline]
fn add(counter: &AtomicU64, more: u64, order: Ordering) {
    counter.store(counter.load(Relaxed).wrapping_add(more), order);
}

/// A duration as it is counted.
pub(super) fn nanos(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}
