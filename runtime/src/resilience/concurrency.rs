//! A bulkhead: so many attempts at the same time, the others wait in line.
//!
//! There is one room, whatever its size. The newest policies in force say how large it is; a call that began under older ones enters it as
//! it is, so that two sizes that are asked for in turn are never added up. A room that is made smaller takes in no one until enough have left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use tokio::sync::Semaphore;

/// The bulkhead of one function.
#[derive(Debug, Default)]
pub(crate) struct Bulkhead {
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    seats: Semaphore,
    /// The edition of the policies that said how many seats there are, above their number.
    ruled: AtomicU64,
    /// Seats that there are no more, and that somebody sits on.
    owed: AtomicU32,
}

/// A place in the bulkhead, free again when the last of its clones is dropped.
#[derive(Clone, Debug)]
#[must_use = "a seat that is dropped is free again"]
pub(crate) struct Seat {
    _taken: Arc<Taken>,
}

#[derive(Debug)]
struct Taken {
    room: Arc<Room>,
}

impl Bulkhead {
    /// Whether these policies, or later ones, have said how many seats there are.
    pub(crate) fn is_ruled_by(&self, edition: u64) -> bool {
        self.room.ruled.load(SeqCst) >> 32 >= edition
    }

    /// Makes it this large, unless policies of a later edition have said something else, or these have said so already.
    pub(crate) fn resize(&self, size: u32, edition: u64) {
        let ruling = edition << 32 | u64::from(size);
        if let Ok(before) = self.room.ruled.fetch_update(SeqCst, SeqCst, |ruled| (ruled >> 32 < edition).then_some(ruling)) {
            // The lower half.
            self.room.change(before as u32, size);
        }
    }

    /// Waits for a seat, first come, first served.
    ///
    /// # Cancellation
    /// Dropping the future leaves the line; a seat that was about to be given goes to the next. Needs no runtime.
    pub(crate) async fn enter(&self) -> Seat {
        // The semaphore is never closed; if it were, nobody would be kept out.
        if let Ok(permit) = self.room.seats.acquire().await {
            permit.forget();
        }
        Seat { _taken: Arc::new(Taken { room: Arc::clone(&self.room) }) }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { seats: Semaphore::new(0), ruled: AtomicU64::new(0), owed: AtomicU32::new(0) }
    }
}

impl Room {
    fn change(&self, before: u32, size: u32) {
        if size < before {
            self.owed.fetch_add(before - size, SeqCst);
            self.collect();
        }
        let more = size.saturating_sub(before);
        self.seats.add_permits((more - self.pay(more)) as usize);
    }

    /// Takes away free seats that there are no more.
    fn collect(&self) {
        loop {
            let owed = self.owed.swap(0, SeqCst);
            let free = self.seats.forget_permits(owed as usize);
            let left = owed - u32::try_from(free).unwrap_or(owed);
            // Who left meanwhile has seen nothing owed, and freed a seat.
            if left == 0 || self.owed.fetch_add(left, SeqCst) == 0 && self.seats.available_permits() == 0 {
                return;
            }
        }
    }

    /// Pays with as many seats as it can, of so many that are free.
    fn pay(&self, seats: u32) -> u32 {
        let owed = self.owed.fetch_update(SeqCst, SeqCst, |owed| Some(owed.saturating_sub(seats)));
        owed.unwrap_or(0).min(seats)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.room.pay(1) == 1 {
            return;
        }
        self.room.seats.add_permits(1);
        if self.room.owed.load(SeqCst) > 0 {
            self.room.collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    fn of_size(size: u32) -> Bulkhead {
        let bulkhead = Bulkhead::default();
        bulkhead.resize(size, 1);
        bulkhead
    }

    /// All who get in now.
    fn who_enter(bulkhead: &Bulkhead) -> Vec<Seat> {
        std::iter::from_fn(|| bulkhead.enter().now_or_never()).take(100).collect()
    }

    #[test]
    fn no_more_than_its_size_are_inside() {
        let bulkhead = of_size(2);
        let (first, _second) = (block_on(bulkhead.enter()), block_on(bulkhead.enter()));
        assert!(bulkhead.enter().now_or_never().is_none());
        drop(first);
        assert!(bulkhead.enter().now_or_never().is_some());
    }

    #[test]
    fn who_leaves_the_line_takes_no_seat() {
        let bulkhead = of_size(1);
        let seat = block_on(bulkhead.enter());
        let mut waiting = Box::pin(bulkhead.enter());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(seat);
        drop(waiting);
        assert!(bulkhead.enter().now_or_never().is_some());
    }

    #[test]
    fn the_first_in_line_is_served_first() {
        let bulkhead = of_size(1);
        let seat = block_on(bulkhead.enter());
        let (mut first, mut second) = (Box::pin(bulkhead.enter()), Box::pin(bulkhead.enter()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(seat);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_larger_room_lets_those_in_line_in_at_once() {
        let bulkhead = of_size(1);
        let _seat = block_on(bulkhead.enter());
        let mut waiting = Box::pin(bulkhead.enter());
        assert!(waiting.as_mut().now_or_never().is_none());
        bulkhead.resize(3, 2);
        assert!(waiting.as_mut().now_or_never().is_some());
        assert_eq!(who_enter(&bulkhead).len(), 2);
    }

    #[test]
    fn a_smaller_room_takes_in_no_one_until_enough_have_left() {
        let bulkhead = of_size(5);
        let mut seats = who_enter(&bulkhead);
        bulkhead.resize(2, 2);
        for left in (2..5).rev() {
            seats.pop();
            assert_eq!((seats.len(), who_enter(&bulkhead).len()), (left, 0));
        }
        seats.pop();
        assert_eq!(who_enter(&bulkhead).len(), 1);
    }

    #[test]
    fn seats_that_are_owed_are_the_first_of_a_larger_room() {
        let bulkhead = of_size(4);
        let seats = who_enter(&bulkhead);
        bulkhead.resize(1, 2);
        bulkhead.resize(5, 3);
        let more = who_enter(&bulkhead);
        assert_eq!((seats.len(), more.len()), (4, 1));
        drop((seats, more));
        assert_eq!(who_enter(&bulkhead).len(), 5);
    }

    #[test]
    fn an_older_edition_changes_nothing_and_one_edition_rules_once() {
        let bulkhead = of_size(2);
        bulkhead.resize(3, 5);
        bulkhead.resize(100, 4);
        bulkhead.resize(100, 5);
        assert!(bulkhead.is_ruled_by(4) && bulkhead.is_ruled_by(5) && !bulkhead.is_ruled_by(6));
        assert_eq!(who_enter(&bulkhead).len(), 3);
    }

    #[test]
    fn after_any_changes_under_load_it_has_its_size() {
        let bulkhead = of_size(8);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..2000).for_each(|_| drop(bulkhead.enter().now_or_never())));
            }
            for edition in 2..2000 {
                bulkhead.resize(u32::try_from(edition).unwrap() % 7 + 1, edition);
            }
        });
        bulkhead.resize(4, 3000);
        assert_eq!(who_enter(&bulkhead).len(), 4);
    }
}
