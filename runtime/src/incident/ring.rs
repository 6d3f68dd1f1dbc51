//! A bounded ring of fixed-size records that any thread writes without waiting.
//!
//! Each slot is a small sequence lock made of atomics: a writer claims it by an odd sequence and publishes with the next even
//! one; a reader takes a record only if the sequence was the same before and after. A writer that meets another one in its slot
//! (it was overtaken by a whole round) drops its record and says so.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

/// The numbers of one record.
pub(super) type Words = [u64; 4];

/// A ring of `N` records.
pub(super) struct Ring<const N: usize> {
    next: AtomicU64,
    slots: [Slot; N],
}

struct Slot {
    /// 0: never written; odd: being written; even: `2 * position + 2`.
    sequence: AtomicU64,
    words: [AtomicU64; 4],
}

impl Slot {
    const fn new() -> Self {
        Self { sequence: AtomicU64::new(0), words: [const { AtomicU64::new(0) }; 4] }
    }

    fn write(&self, position: u64, words: Words) -> bool {
        let before = self.sequence.load(Relaxed);
        let claimed = 2 * position + 1;
        if before % 2 == 1 || before > claimed {
            return false;
        }
        if self.sequence.compare_exchange(before, claimed, Acquire, Relaxed).is_err() {
            return false;
        }
        // A reader that sees one of the words below also sees the odd sequence.
        fence(Release);
        for (word, value) in self.words.iter().zip(words) {
            word.store(value, Relaxed);
        }
        self.sequence.store(claimed + 1, Release);
        true
    }

    fn read(&self) -> Option<Words> {
        let before = self.sequence.load(Acquire);
        if before == 0 || before % 2 == 1 {
            return None;
        }
        let words = [0, 1, 2, 3].map(|index: usize| self.words[index].load(Relaxed));
        // Orders the words before the second look at the sequence.
        fence(Acquire);
        (self.sequence.load(Relaxed) == before).then_some(words)
    }
}

impl<const N: usize> Ring<N> {
    pub(super) const fn new() -> Self {
        Self { next: AtomicU64::new(0), slots: [const { Slot::new() }; N] }
    }

    /// Appends a record over the oldest one; `false` where it was dropped.
    #[allow(clippy::cast_possible_truncation, reason = "the remainder is less than N")]
    pub(super) fn push(&self, words: Words) -> bool {
        let position = self.next.fetch_add(1, Relaxed);
        self.slots[(position % N as u64) as usize].write(position, words)
    }

    /// The records that are complete at this moment, in no order.
    pub(super) fn read(&self) -> impl Iterator<Item = Words> {
        self.slots.iter().filter_map(Slot::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn the_ring_keeps_the_last_records() {
        let ring: Ring<4> = Ring::new();
        for value in 0..10 {
            assert!(ring.push([value; 4]));
        }
        let mut kept: Vec<_> = ring.read().map(|words| words[0]).collect();
        kept.sort_unstable();
        assert_eq!(kept, [6, 7, 8, 9]);
    }

    #[test]
    fn a_reader_never_sees_half_a_record() {
        static RING: Ring<8> = Ring::new();
        static DONE: AtomicBool = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..3_u64 {
                scope.spawn(move || {
                    for value in 0..20_000 {
                        let word = writer * 1_000_000 + value;
                        RING.push([word, word, word, word]);
                    }
                });
            }
            let reader = scope.spawn(|| {
                let mut seen = 0;
                loop {
                    let last = DONE.load(Relaxed);
                    for words in RING.read() {
                        assert!(words.iter().all(|word| *word == words[0]), "torn record {words:?}");
                        seen += 1;
                    }
                    if last {
                        return seen;
                    }
                }
            });
            while RING.next.load(Relaxed) < 60_000 {
                std::thread::yield_now();
            }
            DONE.store(true, Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
        assert_eq!(RING.read().count(), 8);
    }

    #[test]
    fn a_writer_that_was_overtaken_drops_its_record() {
        let slot = Slot::new();
        assert!(slot.write(9, [9; 4]));
        assert!(!slot.write(1, [1; 4]));
        assert_eq!(slot.read(), Some([9; 4]));
    }
}
