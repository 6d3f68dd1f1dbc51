//! A map of a fixed size: what it takes is set aside at the start, and what finds no room is counted and told.

use std::collections::HashMap;
use std::hash::Hash;

use crate::event::Event;
use crate::observe;

/// See the module.
pub(super) struct Bounded<K, V> {
    all: HashMap<K, V>,
    most: usize,
    /// What is kept in it, in the plural.
    what: &'static str,
    /// Those that found no room at this look, and the most that was told of.
    left_out: u64,
    told: u64,
}

impl<K: Eq + Hash, V> Bounded<K, V> {
    pub(super) fn new(most: usize, what: &'static str) -> Self {
        // A map with half of its room free clears up in its place where it is used for long; else it would take more.
        Self { all: HashMap::with_capacity(2 * most), most, what, left_out: 0, told: 0 }
    }

    /// What stands at a key, made where nothing does; `None` where there is no room.
    pub(super) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> Option<&mut V> {
        if self.all.len() >= self.most && !self.all.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        Some(self.all.entry(key).or_insert_with(make))
    }

    /// A look is over: keeps what it says, and tells how many found no room, when that is twice as many as before.
    pub(super) fn end_look(&mut self, keep: impl FnMut(&K, &mut V) -> bool) {
        self.all.retain(keep);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 2 * self.told {
            observe::event(&Event::LeftOut { what: self.what, more: left_out });
            self.told = left_out;
        } else if left_out == 0 {
            self.told = 0;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::counted;

    #[test]
    fn it_never_takes_more_than_was_set_aside_and_counts_what_finds_no_room() {
        let mut bounded = Bounded::new(100, "things");
        let mut taken = None;
        for round in 0..10_000_u32 {
            let found = (0..120).filter(|place| bounded.entry(round * 60 + place, || round).is_some()).count();
            assert!(found >= 100 - 60 && bounded.left_out == 120 - found as u64);
            bounded.end_look(|key, _| *key >= round * 60 + 60);
            // Telling it for the first time takes the reporter's inbox.
            assert_eq!(counted::taken(), *taken.get_or_insert_with(counted::taken), "in round {round}");
        }
    }
}
