//! Why a thread is looked at, and whether that still lasts: once it is over, the thread's stack is about something else.

use crate::flight::{self, CallId, Left, Poll};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    /// Somebody wants to know what it does, whatever that is.
    Any,
    /// This poll of this call does not return.
    Poll(CallId, Poll),
    /// It runs work whose caller is gone.
    Work(Left),
    /// As the test says.
    #[cfg(test)]
    #[cfg_attr(not(native_stacks), expect(dead_code))]
    Asked(fn() -> bool),
}

impl Reason {
    /// Whether that is still so.
    #[cfg_attr(not(any(test, native_stacks)), expect(dead_code))]
    pub(super) fn lasts(self) -> bool {
        match self {
            Reason::Any => true,
            Reason::Poll(call, poll) => flight::polls().any(|polled| (polled.id, polled.poll) == (call, poll)),
            Reason::Work(work) => flight::left().any(|left| left.number == work.number),
            #[cfg(test)]
            Reason::Asked(lasts) => lasts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::{Kind, Leaving, Plan, Shown};
    use crate::site::sites;

    /// The polls that last on this thread, the outermost first.
    fn here() -> Vec<Reason> {
        let own = flight::thread::current();
        let mut polls: Vec<_> = flight::polls().filter(|polled| polled.poll.thread == own).collect();
        polls.reverse();
        polls.into_iter().map(|polled| Reason::Poll(polled.id, polled.poll)).collect()
    }

    #[test]
    fn a_poll_lasts_while_others_begin_and_end_inside_of_it() {
        let plan = Plan::of(sites()[0]).unwrap().0.number;
        let enter = |since| flight::here().unwrap().enter(&Shown { since, due: 0, call: 0, kind: Kind::new(plan, 0) });
        let outer = enter(5);
        let inner = enter(5);
        let [of_outer, of_inner] = here()[..] else { panic!("{:?}", here()) };
        assert!(of_outer.lasts() && of_inner.lasts());
        inner.leave();
        assert!(of_outer.lasts() && !of_inner.lasts(), "they began at the same time");
        let again = enter(9);
        assert!(of_outer.lasts() && !of_inner.lasts(), "another poll at the same place");
        again.leave();
        outer.leave();
        assert!(!of_outer.lasts());
    }

    #[test]
    fn work_that_was_left_lasts_until_it_ends() {
        let working = Leaving { site: sites()[0], call: 0, thread: u32::MAX - 8 }.leave(crate::clock::Tick::now());
        let reason = Reason::Work(flight::left().find(|left| left.thread == u32::MAX - 8).unwrap());
        assert!(reason.lasts());
        drop(working);
        assert!(!reason.lasts());
    }
}
