//! Blocking work that a call has handed to a thread of its own: how long it runs, and whether who handed it over still does.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::*, fence};

use super::record::CallId;
use super::{table, thread};
use crate::shelf::Shelf;
use crate::site::{Site, sites};

static WORKS: Shelf<Seat> = Shelf::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Where one piece of work stands while it runs; then another one.
#[derive(Debug, Default)]
struct Seat {
    taken: AtomicBool,
    /// Names the work that is shown here; 0 for none.
    number: AtomicU64,
    caller: AtomicU64,
    /// As in [`Site::id`].
    site: AtomicUsize,
    thread: AtomicU32,
}

/// Who hands work over: a call, or a task that a call has carried out of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handing {
    pub(crate) caller: CallId,
    /// The function of the call.
    pub(crate) site: &'static Site,
}

/// Work that runs; it is over when this is dropped.
pub(crate) struct Working(&'static Seat);

/// Work whose caller is gone, as it stood at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// Names the work for as long as the process lives.
    pub(crate) number: u64,
    pub(crate) site: &'static Site,
    /// The number of the thread that it runs on.
    pub(crate) thread: u32,
}

impl Handing {
    /// The work begins on this thread; `None` where there is no room to show it.
    pub(crate) fn begin(&self) -> Option<Working> {
        let free = WORKS.iter().find(|seat| !seat.taken.swap(true, Acquire));
        let seat = free.or_else(|| WORKS.add(|_| Seat { taken: AtomicBool::new(true), ..Seat::default() }))?;
        // Who reads one of those below also sees that other work stands here.
        fence(Release);
        seat.caller.store(self.caller.number(), Relaxed);
        seat.site.store(self.site.id(), Relaxed);
        seat.thread.store(thread::current(), Relaxed);
        seat.number.store(NEXT.fetch_add(1, Relaxed), Release);
        Some(Working(seat))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.number.store(0, Relaxed);
        self.0.taken.store(false, Release);
    }
}

/// All work whose caller is gone.
pub(crate) fn left() -> impl Iterator<Item = Left> {
    WORKS.iter().filter_map(Seat::left)
}

impl Seat {
    fn left(&self) -> Option<Left> {
        let number = self.number.load(Acquire);
        let caller = CallId::of(self.caller.load(Relaxed))?;
        let (site, thread) = (self.site.load(Relaxed), self.thread.load(Relaxed));
        fence(Acquire);
        let shown = number != 0 && self.number.load(Relaxed) == number;
        (shown && table::running(caller).is_none()).then_some(Left { number, site: sites().get(site)?, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;
    use crate::flight::record::ALARM;
    use crate::flight::{Entry, Ticket};

    #[test]
    fn work_is_left_from_the_end_of_its_caller_to_its_own() {
        let call = Ticket::here(&Entry { started: Tick::NEVER, bits: ALARM, ..Entry::default() }).unwrap();
        let handing = Handing { caller: call.id(), site: sites()[0] };
        let of_ours = |left: &Left| left.thread == thread::current();
        let working = handing.begin().unwrap();
        assert_eq!(left().filter(of_ours).count(), 0);
        drop(call);
        let seen: Vec<Left> = left().filter(of_ours).collect();
        assert!(seen.len() == 1 && seen[0].site.name() == sites()[0].name(), "{seen:?}");
        drop(working);
        assert_eq!(left().filter(of_ours).count(), 0);
        let again = handing.begin().unwrap();
        assert!(left().filter(of_ours).all(|left| left.number != seen[0].number), "other work has another number");
        drop(again);
    }
}
