//! Turns that callers gave back before their time had come, kept for those who call next. Lock-free, and bounded.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// So many turns are kept at most; of more the earliest are lost.
pub(super) const KEPT: usize = 64;

/// Turns, each by a number greater than zero that grows with its time.
#[derive(Debug)]
pub(super) struct Returned {
    /// Zero where there is none.
    turns: [AtomicU64; KEPT],
    /// How many there are, for those who need not look; seen late at worst.
    count: AtomicUsize,
}

impl Returned {
    pub(super) const fn new() -> Self {
        Self { turns: [const { AtomicU64::new(0) }; KEPT], count: AtomicUsize::new(0) }
    }

    /// Keeps a turn; where there is no room, in place of the earliest, unless it is that itself.
    pub(super) fn put(&self, turn: u64) {
        self.count.fetch_add(1, Relaxed);
        loop {
            let Some((place, present)) = self.turns.iter().map(|place| (place, place.load(Relaxed))).min_by_key(|(_, turn)| *turn) else {
                return;
            };
            if present >= turn {
                self.count.fetch_sub(1, Relaxed);
                return;
            }
            if place.compare_exchange(present, turn, Relaxed, Relaxed).is_ok() {
                self.count.fetch_sub(usize::from(present > 0), Relaxed);
                return;
            }
        }
    }

    /// Takes the earliest turn that is among these.
    pub(super) fn first_of(&self, among: &RangeInclusive<u64>) -> Option<u64> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        loop {
            let turns = self.turns.iter().map(|place| place.load(Relaxed));
            let first = turns.filter(|turn| *turn > 0 && among.contains(turn)).min()?;
            if self.take(first) {
                return Some(first);
            }
        }
    }

    /// Takes this turn, where it is here.
    pub(super) fn take(&self, turn: u64) -> bool {
        let taken = turn > 0 && self.turns.iter().any(|place| place.compare_exchange(turn, 0, Relaxed, Relaxed).is_ok());
        self.count.fetch_sub(usize::from(taken), Relaxed);
        taken
    }

    /// Forgets the turns up to this one.
    pub(super) fn forget(&self, last: u64) {
        if self.count.load(Relaxed) == 0 {
            return;
        }
        for place in &self.turns {
            let turn = place.load(Relaxed);
            if (1..=last).contains(&turn) {
                self.take(turn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_of_those_asked_for_comes_out_once() {
        let returned = Returned::new();
        [30, 10, 20].into_iter().for_each(|turn| returned.put(turn));
        let first = |among| returned.first_of(&among);
        assert_eq!(
            [first(11..=25), first(11..=25), first(0..=99), first(0..=99), first(0..=99)],
            [Some(20), None, Some(10), Some(30), None]
        );
    }

    #[test]
    fn of_more_than_fit_the_latest_stay() {
        let returned = Returned::new();
        (1..=2 * KEPT as u64).for_each(|turn| returned.put(turn));
        returned.put(1);
        assert_eq!(returned.count.load(Relaxed), KEPT);
        assert_eq!(returned.first_of(&(0..=u64::MAX)), Some(KEPT as u64 + 1));
        returned.forget(2 * KEPT as u64 - 1);
        assert_eq!((returned.first_of(&(0..=u64::MAX)), returned.count.load(Relaxed)), (Some(2 * KEPT as u64), 0));
    }

    #[test]
    fn threads_that_put_and_take_lose_and_double_nothing() {
        let returned = Returned::new();
        let taken: Vec<u64> = std::thread::scope(|scope| {
            let work = |thread: u64| {
                let returned = &returned;
                move || {
                    let turns = (1..=1000).map(|number| number * 4 + thread);
                    turns
                        .filter_map(|turn| {
                            returned.put(turn);
                            returned.first_of(&(0..=u64::MAX))
                        })
                        .collect::<Vec<_>>()
                }
            };
            let threads = [0, 1, 2, 3].map(|thread| scope.spawn(work(thread)));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let mut all: Vec<u64> = taken.into_iter().chain(std::iter::from_fn(|| returned.first_of(&(0..=u64::MAX)))).collect();
        all.sort_unstable();
        assert_eq!(all, (4..4004).collect::<Vec<_>>());
        assert_eq!(returned.count.load(Relaxed), 0);
    }
}
