//! A bulkhead: so many attempts at the same time, the others wait in line.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bulkhead of one function.
///
/// A reload that changes its size opens a new one: attempts that run then are not counted in it, so for as long as they last there may be
/// more attempts than either size.
#[derive(Debug, Default)]
pub(crate) struct Bulkhead {
    room: ArcSwapOption<Room>,
}

#[derive(Debug)]
struct Room {
    size: u32,
    seats: Arc<Semaphore>,
}

/// A place in the bulkhead, free again when the last of its clones is dropped.
#[derive(Clone, Debug)]
#[must_use = "a seat that is dropped is free again"]
pub(crate) struct Seat {
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Bulkhead {
    /// Waits for a seat among `size`, first come, first served.
    ///
    /// # Cancellation
    /// Dropping the future leaves the line; a seat that was about to be given goes to the next. Needs no runtime.
    pub(crate) async fn enter(&self, size: u32) -> Seat {
        // The semaphore is never closed; if it were, nobody would be kept out.
        Seat { _permit: self.seats(size).acquire_owned().await.ok().map(Arc::new) }
    }

    fn seats(&self, size: u32) -> Arc<Semaphore> {
        if let Some(room) = &*self.room.load()
            && room.size == size
        {
            return Arc::clone(&room.seats);
        }
        let fresh = Arc::new(Room { size, seats: Arc::new(Semaphore::new(size as usize)) });
        // Of several who find the size changed, one opens the new room and the others enter it.
        let room = self.room.rcu(|room| match room {
            Some(room) if room.size == size => Arc::clone(room),
            _ => Arc::clone(&fresh),
        });
        let room = room.filter(|room| room.size == size).unwrap_or(fresh);
        Arc::clone(&room.seats)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn no_more_than_its_size_are_inside() {
        let bulkhead = Bulkhead::default();
        let (first, _second) = (block_on(bulkhead.enter(2)), block_on(bulkhead.enter(2)));
        assert!(bulkhead.enter(2).now_or_never().is_none());
        drop(first);
        assert!(bulkhead.enter(2).now_or_never().is_some());
    }

    #[test]
    fn who_leaves_the_line_takes_no_seat() {
        let bulkhead = Bulkhead::default();
        let seat = block_on(bulkhead.enter(1));
        let mut waiting = Box::pin(bulkhead.enter(1));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(seat);
        drop(waiting);
        assert!(bulkhead.enter(1).now_or_never().is_some());
    }

    #[test]
    fn the_first_in_line_is_served_first() {
        let bulkhead = Bulkhead::default();
        let seat = block_on(bulkhead.enter(1));
        let (mut first, mut second) = (Box::pin(bulkhead.enter(1)), Box::pin(bulkhead.enter(1)));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(seat);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_new_size_holds_from_the_next_attempt_on() {
        let bulkhead = Bulkhead::default();
        let _seat = block_on(bulkhead.enter(1));
        let seats: Vec<_> = (0..4).filter_map(|_| bulkhead.enter(3).now_or_never()).collect();
        assert_eq!(seats.len(), 3);
    }
}
