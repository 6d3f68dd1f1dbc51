//! Chunks that share one more note of when something is first due, so that a look at a million calls reads a few hundred notes. Both kinds of
//! note are [`Due`]: a group is to its chunks what a chunk is to its records.

use super::due::Due;
use super::table::{Chunk, chunk};
use crate::clock::Tick;
use crate::shelf::Shelf;

/// Chunks in a group.
const SIZE: u32 = 64;

static GROUPS: Shelf<Group> = Shelf::new();

/// See the module.
pub(crate) struct Group {
    place: u32,
    /// Nothing is due before.
    due: Due,
}

impl Group {
    /// Makes the group that the chunk at this place will be in.
    pub(super) fn make(chunk: u32) {
        let place = chunk / SIZE;
        let _ = GROUPS.at(place, || Self { place, due: Due::new() });
    }

    /// The group of the chunk at this place.
    pub(super) fn of(chunk: u32) -> Option<&'static Self> {
        GROUPS.get(chunk / SIZE)
    }

    /// A chunk in here says so, and can be seen to say it.
    pub(super) fn expect(&self, due: Tick) {
        self.due.expect(due.as_nanos(), true);
    }

    /// When something can first be due.
    pub(crate) fn due(&self) -> Tick {
        Tick::from_nanos(self.due.at())
    }

    /// Hands out the chunks in which something may be due at `now`.
    pub(crate) fn visit(&self, now: Tick, look: impl FnMut(&'static Chunk)) {
        self.due.visit(|| {
            self.chunks().filter(|chunk| chunk.due() <= now).for_each(look);
            self.chunks().map(|chunk| chunk.due().as_nanos()).min()
        });
    }

    fn chunks(&self) -> impl Iterator<Item = &'static Chunk> + use<> {
        let first = self.place * SIZE;
        (first..first + SIZE).filter_map(chunk)
    }
}

/// All groups.
pub(crate) fn groups() -> impl Iterator<Item = &'static Group> {
    GROUPS.iter()
}
