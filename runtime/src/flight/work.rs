//! Work that may outlive its caller, and whether its caller is gone: what a call has handed to a thread of its own, and the body of an isolated
//! call, which is left while it blocks its thread.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::*, fence};

use super::id::CallId;
use super::{table, thread};
use crate::clock::Tick;
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
    /// 0 where it has left the work already …
    caller: AtomicU64,
    /// … at this time; 0 where that is not known.
    since: AtomicU64,
    /// The work's own call in the tree; 0 for none.
    call: AtomicU64,
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

/// A body that its caller leaves while it blocks its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    pub(crate) site: &'static Site,
    /// The number of its own call in the tree; 0 for none.
    pub(crate) call: u64,
    /// The number of the thread that it blocks.
    pub(crate) thread: u32,
}

/// Work that runs; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Working(&'static Seat);

/// Work whose caller is gone, as it stood at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// Names the work for as long as the process lives.
    pub(crate) number: u64,
    pub(crate) site: &'static Site,
    /// The number of the thread that it runs on.
    pub(crate) thread: u32,
    /// Its own call in the tree; `None` for what a call has handed to a thread.
    pub(crate) call: Option<u64>,
    /// Since when, where that is known.
    pub(crate) since: Option<Tick>,
}

impl Handing {
    /// The work begins on this thread; `None` where there is no room to show it.
    pub(crate) fn begin(&self) -> Option<Working> {
        Seat::take(self.site, thread::current(), |seat| {
            seat.caller.store(self.caller.number(), Relaxed);
            seat.since.store(0, Relaxed);
            seat.call.store(0, Relaxed);
        })
    }
}

impl Leaving {
    /// The body is left at `now`; `None` where there is no room to show it.
    pub(crate) fn leave(&self, now: Tick) -> Option<Working> {
        Seat::take(self.site, self.thread, |seat| {
            seat.caller.store(0, Relaxed);
            seat.since.store(now.as_nanos(), Relaxed);
            seat.call.store(self.call, Relaxed);
        })
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
    fn take(site: &'static Site, thread: u32, show: impl FnOnce(&Seat)) -> Option<Working> {
        let free = WORKS.iter().find(|seat| !seat.taken.swap(true, Acquire));
        let seat = free.or_else(|| WORKS.add(|_| Seat { taken: AtomicBool::new(true), ..Seat::default() }))?;
        // Who reads one of those below also sees that other work stands here.
        fence(Release);
        show(seat);
        seat.site.store(site.id(), Relaxed);
        seat.thread.store(thread, Relaxed);
        seat.number.store(NEXT.fetch_add(1, Relaxed), Release);
        Some(Working(seat))
    }

    fn left(&self) -> Option<Left> {
        let number = self.number.load(Acquire);
        let [caller, call, since] = [&self.caller, &self.call, &self.since].map(|field| field.load(Relaxed));
        let (site, thread) = (self.site.load(Relaxed), self.thread.load(Relaxed));
        fence(Acquire);
        let shown = number != 0 && self.number.load(Relaxed) == number;
        let is_left = shown && CallId::of(caller).is_none_or(|caller| table::running(caller).is_none());
        let site = sites().get(site).filter(|_| is_left)?;
        Some(Left { number, site, thread, call: (call != 0).then_some(call), since: (since != 0).then(|| Tick::from_nanos(since)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;
    use crate::flight::bits::ALARM;
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

    #[test]
    fn a_body_is_left_from_the_moment_when_its_caller_leaves_it_to_its_end() {
        let (now, call, thread) = (Tick::from_nanos(7), 5, u32::MAX - 7);
        let of_ours = |left: &Left| left.thread == thread;
        let working = Leaving { site: sites()[0], call, thread }.leave(now).unwrap();
        let seen: Vec<_> = left().filter(of_ours).map(|left| (left.call, left.since)).collect();
        assert_eq!(seen, [(Some(5), Some(now))]);
        drop(working);
        assert_eq!(left().filter(of_ours).count(), 0);
    }
}
