//! Copies of the running calls for the findings of one moment. A hundred thousand calls that expire together are no hundred thousand copies, and
//! where that many run each finding shows its call and the callers alone.

use std::sync::Arc;

use crate::clock::Tick;
use crate::flight::{self, CallId, Roll, SHOWN};
use crate::heap;

/// Copies that may be with the reporter at a time: of so many moments, with room for so many calls. The larger room is touched where so many run.
const ROLLS: [(usize, usize); 2] = [(60, 250), (4, SHOWN)];
/// A call and its callers count as so many.
const PATH: usize = 10;

/// See the module.
pub(super) struct Rolls {
    /// Each with its room.
    pool: Vec<(Arc<Roll>, usize)>,
    /// Where the roll of this moment stands in the pool; `None` where all are with the reporter, which looks itself then.
    open: Option<usize>,
    at: Tick,
    whole: bool,
    /// Calls that findings of one moment may show altogether.
    left: usize,
}

impl Rolls {
    pub(super) const fn new() -> Self {
        Self { pool: Vec::new(), open: None, at: Tick::NEVER, whole: false, left: 0 }
    }

    /// Sets aside what it takes.
    pub(super) fn reserve(&mut self) {
        let roll = |room| (Arc::new(Roll::with_room(room)), room);
        self.pool = ROLLS.iter().flat_map(|(count, room)| (0..*count).map(move |_| roll(*room))).collect();
    }

    /// The running calls with this one among them, and whether all are to be shown. `None` for now where more run than a report shows:
    /// then its callers are copied beside those of others, see [`path`](Self::path).
    pub(super) fn show(&mut self, call: CallId, now: Tick) -> Option<(Arc<Roll>, bool)> {
        if self.at != now || self.whole && !self.pool.get(self.open?)?.0.has(call) {
            self.open(now);
        }
        let (roll, room) = self.pool.get_mut(self.open?)?;
        if !self.whole {
            Arc::get_mut(roll)?.read_path(call, *room);
            return None;
        }
        let whole = roll.len() <= self.left;
        self.left = self.left.checked_sub(if whole { roll.len() } else { PATH })?;
        Some((Arc::clone(roll), whole))
    }

    /// The callers of a call that was shown at this moment; nothing is added to them from then on.
    pub(super) fn path(&self, call: CallId) -> Option<(Arc<Roll>, bool)> {
        let (roll, _) = self.pool.get(self.open?)?;
        (!self.whole && roll.has(call)).then(|| (Arc::clone(roll), false))
    }

    fn open(&mut self, now: Tick) {
        (self.at, self.left) = (now, SHOWN);
        self.whole = self.choose(flight::at_most);
        if !self.whole && !self.choose(|_| true) && !heap::is_renounced() {
            self.pool = vec![(Arc::default(), SHOWN)];
            self.whole = self.choose(flight::at_most);
        }
        let Some((roll, room)) = self.open.and_then(|open| self.pool.get_mut(open)) else { return };
        let Some(roll) = Arc::get_mut(roll) else { return };
        if self.whole { roll.read(*room, now) } else { roll.clear(now) }
    }

    /// Chooses a roll that nobody has, whether there is one whose room is enough.
    fn choose(&mut self, enough: impl Fn(usize) -> bool) -> bool {
        let free = |(roll, room): &mut (Arc<Roll>, usize)| Arc::get_mut(roll).is_some() && enough(*room);
        self.open = self.pool.iter_mut().position(free);
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::{Entry, Ticket};

    #[test]
    fn moments_get_copies_of_their_own_and_give_them_back() {
        let call = Ticket::here(&Entry { started: Tick::NEVER, ..Entry::default() }).unwrap().id();
        let mut rolls = Rolls::new();
        rolls.reserve();
        let most: usize = ROLLS.iter().map(|(count, _)| count).sum();
        heap::renounce();
        let open = |rolls: &mut Rolls, moment| {
            rolls.show(call, Tick::from_nanos(moment));
            rolls.open.map(|open| Arc::clone(&rolls.pool[open].0))
        };
        let held: Vec<_> = (1..).map_while(|moment| open(&mut rolls, moment)).collect();
        assert_eq!(held.len(), most);
        drop(held);
        assert!(open(&mut rolls, 1_000_000).is_some());
    }
}
