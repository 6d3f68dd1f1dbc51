//! How long the time stood still between two ticks: the keeper notes it, everybody reads it.

use std::sync::atomic::{AtomicU64, Ordering::*, fence};

use super::TICK;

/// So many nanoseconds between two ticks are not worth a note of their own.
const ORDINARY: u64 = 100_000_000;

/// So many of the longest gaps are remembered each for itself: a freeze concerns what began in it, and makes nothing else late.
const LONG: usize = 16;

/// So many nanoseconds share a note of what else was longest in them, and so many such notes are kept: for what began more than an hour ago,
/// the longest of all is near enough.
const SPAN: u64 = 64_000_000_000;
const SPANS: usize = 64;

/// See the module.
pub(super) struct Gaps {
    long: [Gap; LONG],
    /// When the last of the long ones was over: what began later lies in none of them.
    over: AtomicU64,
    spans: [Span; SPANS],
    /// The longest one but for those that are long.
    ordinary: AtomicU64,
}

/// From this tick on the time stood still for so long; a length of 0: none.
struct Gap {
    tick: AtomicU64,
    length: AtomicU64,
}

/// The longest gap in the span of this number but for those that are long.
struct Span {
    number: AtomicU64,
    longest: AtomicU64,
}

impl Gaps {
    pub(super) const fn new() -> Self {
        Self {
            long: [const { Gap { tick: AtomicU64::new(0), length: AtomicU64::new(0) } }; LONG],
            over: AtomicU64::new(0),
            spans: [const { Span { number: AtomicU64::new(0), longest: AtomicU64::new(0) } }; SPANS],
            ordinary: AtomicU64::new(TICK.as_nanos() as u64),
        }
    }

    /// The time stood still for `length` from `tick` on. For the keeper alone.
    pub(super) fn note(&self, tick: u64, length: u64) {
        let shortest = self.long.iter().min_by_key(|gap| gap.length.load(Relaxed)).filter(|_| length > ORDINARY);
        let Some(shortest) = shortest.filter(|gap| gap.length.load(Relaxed) < length) else {
            return self.widen(tick, length);
        };
        // Who no longer finds the gap finds its length here: nothing that began in it ends early.
        match shortest.length.load(Relaxed) {
            0 => {}
            length => self.widen(shortest.tick.load(Relaxed), length),
        }
        shortest.set(tick, length);
        self.over.fetch_max(tick.saturating_add(length), Release);
    }

    fn widen(&self, tick: u64, length: u64) {
        self.ordinary.fetch_max(length, Relaxed);
        // Time that was advanced within the gap may be in the next span.
        for number in span(tick)..=span(tick.saturating_add(length)) {
            self.spans[number as usize % SPANS].widen(number, length);
        }
    }

    /// How long the time stood still from `tick` on, at most.
    pub(super) fn after(&self, tick: u64) -> u64 {
        let noted = if tick < self.over.load(Acquire) { &self.long[..] } else { &[] };
        let long = noted.iter().filter_map(|gap| gap.after(tick)).max();
        // Read last: what was found in none of them is in here by now.
        let number = span(tick);
        let longest = self.spans[number as usize % SPANS].longest(number);
        long.unwrap_or(0).max(longest.unwrap_or_else(|| self.ordinary.load(Relaxed)))
    }
}

/// The number of the span that this tick lies in, from 1.
fn span(tick: u64) -> u64 {
    tick / SPAN + 1
}

impl Span {
    fn widen(&self, number: u64, length: u64) {
        match self.number.load(Relaxed) {
            present if present == number => _ = self.longest.fetch_max(length, Relaxed),
            // A gap that was long until now may be older than what stands here.
            present if present > number => {}
            _ => {
                self.number.store(0, Relaxed);
                fence(Release);
                self.longest.store(length.max(TICK.as_nanos() as u64), Relaxed);
                self.number.store(number, Release);
            }
        }
    }

    fn longest(&self, number: u64) -> Option<u64> {
        let before = self.number.load(Acquire);
        let longest = self.longest.load(Relaxed);
        fence(Acquire);
        (before == number && self.number.load(Relaxed) == number).then_some(longest)
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
    fn short_gaps_concern_what_began_in_the_same_minute() {
        let gaps = Gaps::new();
        gaps.note(SECOND, 30 * MILLIS);
        gaps.note(2 * SECOND, 5 * MILLIS);
        gaps.note(100 * SECOND, 5 * MILLIS);
        assert_eq!([9, 99].map(|second| gaps.after(second * SECOND)), [30 * MILLIS, 5 * MILLIS]);
        (1..=100).for_each(|span| gaps.note(span * SPAN, 4 * MILLIS));
        assert_eq!([9, 90 * 64].map(|second| gaps.after(second * SECOND)), [30 * MILLIS, 4 * MILLIS], "nobody knows of the first any more");
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
        gaps.note(6_000 * SECOND, 4 * MILLIS);
        assert_eq!(gaps.after(6_000 * SECOND), 4 * MILLIS, "what was long makes nothing late that began much later");
    }
}
