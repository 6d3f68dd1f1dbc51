//! A list that only grows: rows twice as long as the one before, never moved and never freed, so that a reader needs no lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::*};

/// Row `n` holds `8 << n` things; 27 rows are more than a `u32` of them that memory could hold.
const ROWS: usize = 27;
const FIRST: u32 = 8;

/// See the module.
pub(crate) struct Shelf<T> {
    rows: [OnceLock<Box<[OnceLock<T>]>>; ROWS],
    used: AtomicU32,
}

impl<T> Shelf<T> {
    pub(crate) const fn new() -> Self {
        Self { rows: [const { OnceLock::new() }; ROWS], used: AtomicU32::new(0) }
    }

    /// Adds what `make` gives for its place; `None` where the shelf is full.
    pub(crate) fn add(&self, make: impl FnOnce(u32) -> T) -> Option<&T> {
        let place = self.used.fetch_update(AcqRel, Acquire, |used| (used < FIRST * ((1 << ROWS) - 1)).then(|| used + 1)).ok()?;
        Some(self.cell(place)?.get_or_init(|| make(place)))
    }

    /// What stands at a place; what `make` gives where nothing does yet. For shelves that nothing is added to; `None` beyond the last place.
    pub(crate) fn at(&self, place: u32, make: impl FnOnce() -> T) -> Option<&T> {
        let thing = self.cell(place)?.get_or_init(make);
        self.used.fetch_max(place.checked_add(1)?, AcqRel);
        Some(thing)
    }

    fn cell(&self, place: u32) -> Option<&OnceLock<T>> {
        let (row, at) = split(place);
        self.rows.get(row)?.get_or_init(|| (0..FIRST << row).map(|_| OnceLock::new()).collect()).get(at)
    }

    /// What stands at a place.
    #[inline]
    pub(crate) fn get(&self, place: u32) -> Option<&T> {
        let (row, at) = split(place);
        self.rows.get(row)?.get()?.get(at)?.get()
    }

    /// Everything, in the order in which it came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let used = self.used.load(Acquire) as usize;
        self.rows.iter().map_while(OnceLock::get).flatten().take(used).filter_map(OnceLock::get)
    }
}

#[inline]
fn split(place: u32) -> (usize, usize) {
    let place = u64::from(place) + u64::from(FIRST);
    let row = place.ilog2() - FIRST.ilog2();
    (row as usize, (place - (u64::from(FIRST) << row)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stays_at_its_place() {
        let shelf = Shelf::new();
        for expected in 0..1000 {
            assert_eq!(shelf.add(|place| place), Some(&expected));
        }
        assert!((0..1000).all(|place| shelf.get(place) == Some(&place)));
        assert_eq!(shelf.get(1000), None);
        assert!(shelf.iter().copied().eq(0..1000));
    }

    #[test]
    fn threads_that_add_at_the_same_time_get_places_of_their_own() {
        static SHELF: Shelf<u32> = Shelf::new();
        let add = || (0..1000).for_each(|_| _ = SHELF.add(|place| place));
        std::thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(add)));
        assert!(SHELF.iter().copied().eq(0..4000));
    }
}
