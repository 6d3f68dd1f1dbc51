//! How long the time stood still between two ticks: the keeper notes it, everybody reads it.

use std::sync::atomic::{AtomicU64, Ordering::*, fence};

use super::TICK;

/// So many nanoseconds between two ticks are not worth a note of their own.
const ORDINARY: u64 = 100_000_000;

/// So many of the longest gaps are remembered each for itself: a freeze concerns what began in it, and makes nothing else late.
const LONG: usize = 16;

/// See the module.
pub(super) struct Gaps {
    /// The longest one but for those below.
    ordinary: AtomicU64,
    long: [Gap; LONG],
}

/// From this tick on the time stood still for so long; a length of 0: none.
struct Gap {
    tick: AtomicU64,
    length: AtomicU64,
}

impl Gaps {
    pub(super) const fn new() -> Self {
        let ordinary = AtomicU64::new(TICK.as_nanos() as u64);
        Self { ordinary, long: [const { Gap { tick: AtomicU64::new(0), length: AtomicU64::new(0) } }; LONG] }
    }

    /// The time stood still for `length` from `tick` on. For the keeper alone.
    pub(super) fn note(&self, tick: u64, length: u64) {
        if length <= ORDINARY {
            self.ordinary.fetch_max(length, Relaxed);
            return;
        }
        let shortest = self.long.iter().min_by_key(|gap| gap.length.load(Relaxed));
        let Some(shortest) = shortest.filter(|gap| gap.length.load(Relaxed) < length) else {
            self.ordinary.fetch_max(length, Relaxed);
            return;
        };
        // Who no longer finds the gap finds its length here: nothing that began in it ends early.
        self.ordinary.fetch_max(shortest.length.load(Relaxed), Relaxed);
        shortest.set(tick, length);
    }

    /// How long the time stood still from `tick` on, at most.
    pub(super) fn after(&self, tick: u64) -> u64 {
        let long = self.long.iter().filter_map(|gap| gap.after(tick)).max();
        // Read last: what was found in none of them is in here by now.
        long.unwrap_or(0).max(self.ordinary.load(Relaxed))
    }
}

impl Gap {
    fn set(&self, tick: u64, length: u64) {
        self.tick.store(0, Release);
        fence(Release);
        self.length.store(length, Relaxed);
        self.tick.store(tick, Release);
    }

    /// Its length, where `tick` lies in it.
    fn after(&self, tick: u64) -> Option<u64> {
        let begin = self.tick.load(Acquire);
        let length = self.length.load(Relaxed);
        fence(Acquire);
        let whole = begin != 0 && self.tick.load(Relaxed) == begin;
        (whole && tick.checked_sub(begin)? < length).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MILLIS;

    #[test]
    fn a_freeze_concerns_what_began_in_it_and_makes_nothing_else_late() {
        let gaps = Gaps::new();
        gaps.note(10 * SECOND, 600 * SECOND);
        assert_eq!(gaps.after(10 * SECOND), 600 * SECOND);
        assert_eq!(gaps.after(10 * SECOND + 1), 600 * SECOND, "the policies changed meanwhile");
        let others = [10 * SECOND - 4 * MILLIS, 610 * SECOND, 700 * SECOND];
        assert_eq!(others.map(|tick| gaps.after(tick)), [4 * MILLIS; 3]);
    }

    #[test]
    fn short_gaps_concern_everybody() {
        let gaps = Gaps::new();
        gaps.note(SECOND, 30 * MILLIS);
        gaps.note(2 * SECOND, 5 * MILLIS);
        assert_eq!(gaps.after(9 * SECOND), 30 * MILLIS);
    }

    #[test]
    fn nothing_that_began_in_a_gap_ends_early_however_many_follow() {
        let gaps = Gaps::new();
        let long: Vec<_> = (1..=100).map(|n| (n * 10 * SECOND, (n * 37 % 101 + 100) * MILLIS)).collect();
        for (tick, length) in &long {
            gaps.note(*tick, *length);
        }
        assert!(long.iter().all(|(tick, length)| gaps.after(*tick) >= *length));
        gaps.note(5_000 * SECOND, 600 * SECOND);
        assert_eq!(gaps.after(5_000 * SECOND), 600 * SECOND);
        assert!(gaps.after(6_000 * SECOND) <= 201 * MILLIS, "the longest are remembered each for itself");
    }
}
