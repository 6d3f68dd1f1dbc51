//! A rate limit: so many calls in so much time, evenly spaced once the first burst is used up.
//!
//! This is GCRA on one atomic number, the time at which the calls so far are paid for. Up to `permits` calls may start at once; from then
//! on one every `per / permits`. A call that has to wait is given its turn at once, so that turns are kept in order and no waiter wakes
//! to find its turn taken. A reload changes the spacing from the next call on; what was paid for under the old rule, and lies beyond a whole
//! `per` of the new one, is forgiven.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::returned::Returned;
use crate::clock::Tick;
use crate::policy::RateLimit;

/// The rate limit of one function.
#[derive(Debug)]
pub(crate) struct Pace {
    /// In nanoseconds: when the calls so far are paid for.
    paid: AtomicU64,
    /// The [mark](Spacing::mark) of the rule that they were booked under.
    rule: AtomicU64,
    /// Turns that came back while later ones were given, by the time that they are paid for until.
    returned: Returned,
}

/// What a call is told.
#[derive(Debug)]
pub(crate) enum Turn<'a> {
    /// It starts now.
    Ready,
    /// It starts when its turn has come.
    Wait(Slot<'a>),
    /// Its turn would come later than the policy lets it wait.
    Refused,
}

/// A turn that has been given to one call. Dropped before it is [taken](Slot::take), it goes back: nobody is told another time for that, but who
/// calls next has it. One that nobody asks for before its time has passed is lost, unless all those behind it come back too.
#[derive(Debug)]
#[must_use = "a turn that is dropped goes back"]
pub(crate) struct Slot<'a> {
    pace: &'a Pace,
    spacing: Spacing,
    at: Tick,
    /// Until when it is paid for.
    until: u64,
}

/// A rule in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Spacing {
    per: u64,
    each: u64,
}

impl Spacing {
    fn of(rule: &RateLimit) -> Self {
        let per = u64::try_from(rule.per.as_nanos()).unwrap_or(u64::MAX);
        Self { per, each: per.div_ceil(u64::from(rule.permits.max(1))) }
    }

    /// A burst uses up the time of all permits but the first.
    fn burst(self) -> u64 {
        self.per.saturating_sub(self.each)
    }

    /// Another number for another rule, as good as always.
    fn mark(self) -> u64 {
        self.per.rotate_left(32) ^ self.each
    }
}

impl Pace {
    /// Nobody has called yet.
    pub(crate) const fn new() -> Self {
        Self { paid: AtomicU64::new(0), rule: AtomicU64::new(0), returned: Returned::new() }
    }

    /// Gives a call its turn.
    pub(crate) fn reserve(&self, rule: &RateLimit, now: Tick) -> Turn<'_> {
        let (spacing, latest) = (Spacing::of(rule), now.after(rule.wait));
        self.follow(spacing, now);
        if let Some(until) = self.again(spacing, now, latest) {
            return self.turn(spacing, Tick::from_nanos(until - spacing.per), until, now);
        }
        let mut paid = self.paid.load(Relaxed);
        loop {
            let from = paid.max(now.as_nanos());
            let at = Tick::from_nanos(from.saturating_sub(spacing.burst()).max(now.as_nanos()));
            if at > latest {
                return Turn::Refused;
            }
            let until = from.saturating_add(spacing.each);
            match self.paid.compare_exchange_weak(paid, until, Relaxed, Relaxed) {
                Ok(_) => return self.turn(spacing, at, until, now),
                Err(changed) => paid = changed,
            }
        }
    }

    fn turn(&self, spacing: Spacing, at: Tick, until: u64, now: Tick) -> Turn<'_> {
        if at <= now { Turn::Ready } else { Turn::Wait(Slot { pace: self, spacing, at, until }) }
    }

    /// Once after a change of the rule: as if a whole burst had just started, and no worse.
    fn follow(&self, spacing: Spacing, now: Tick) {
        let mark = spacing.mark();
        if self.rule.load(Relaxed) != mark && self.rule.swap(mark, Relaxed) != mark {
            self.returned.forget(u64::MAX);
            self.paid.fetch_min(now.as_nanos().saturating_add(spacing.per), Relaxed);
        }
    }

    /// The first turn that came back and is still to come; it ends a whole `per` after its time.
    fn again(&self, spacing: Spacing, now: Tick, latest: Tick) -> Option<u64> {
        self.returned.forget(now.as_nanos());
        let end = |at: Tick| at.as_nanos().checked_add(spacing.per);
        self.returned.first_of(&(end(now)?..=end(latest).unwrap_or(u64::MAX)))
    }

    /// The last turn that was given is simply not paid for any more, and with it those before it that came back earlier.
    fn give_back(&self, spacing: Spacing, until: u64) {
        // Of what was booked under another rule, as much as possible is forgiven; at the end of all time nothing is left to be given.
        if self.rule.load(Relaxed) != spacing.mark() || until == u64::MAX {
            return;
        }
        self.returned.put(until);
        loop {
            let last = self.paid.load(Relaxed);
            if !self.returned.take(last) {
                return;
            }
            if self.paid.compare_exchange(last, last.saturating_sub(spacing.each), Relaxed, Relaxed).is_err() {
                self.returned.put(last);
            }
        }
    }
}

impl Slot<'_> {
    /// When the turn comes.
    pub(crate) fn at(&self) -> Tick {
        self.at
    }

    /// The turn has come, and the call starts.
    pub(crate) fn take(self) {
        std::mem::forget(self);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.pace.give_back(self.spacing, self.until);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const RULE: RateLimit = RateLimit { permits: 2, per: Duration::from_secs(1), wait: Duration::from_secs(1) };

    fn ms(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    /// When the call starts; `None` where it is refused.
    fn start(pace: &Pace, rule: &RateLimit, now: Tick) -> Option<Tick> {
        match pace.reserve(rule, now) {
            Turn::Ready => Some(now),
            Turn::Wait(slot) => {
                let at = slot.at();
                slot.take();
                Some(at)
            }
            Turn::Refused => None,
        }
    }

    #[test]
    fn a_burst_starts_at_once_and_the_rest_in_its_turn() {
        let pace = Pace::new();
        let starts: Vec<_> = (0..5).map(|_| start(&pace, &RULE, ms(1000))).collect();
        assert_eq!(starts, [Some(ms(1000)), Some(ms(1000)), Some(ms(1500)), Some(ms(2000)), None]);
    }

    #[test]
    fn one_who_may_not_wait_is_refused_and_uses_nothing_up() {
        let pace = Pace::new();
        let rule = RateLimit { permits: 1, wait: Duration::ZERO, ..RULE };
        assert_eq!(start(&pace, &rule, ms(0)), Some(ms(0)));
        assert!((1..1000).all(|now| start(&pace, &rule, ms(now)).is_none()));
        assert_eq!(start(&pace, &rule, ms(1000)), Some(ms(1000)));
    }

    #[test]
    fn a_waiter_that_goes_away_gives_the_last_turn_back() {
        let pace = Pace::new();
        let rule = RateLimit { permits: 1, ..RULE };
        assert_eq!(start(&pace, &rule, ms(0)), Some(ms(0)));
        let Turn::Wait(slot) = pace.reserve(&rule, ms(0)) else { panic!("no turn") };
        assert_eq!(slot.at(), ms(1000));
        drop(slot);
        assert_eq!(start(&pace, &rule, ms(0)), Some(ms(1000)));
    }

    /// One call a second; `waiters` of them wait from second 0 on, the first until second 1.
    const SLOW: RateLimit = RateLimit { permits: 1, per: Duration::from_secs(1), wait: Duration::from_secs(1000) };

    fn waiters(pace: &Pace, count: usize) -> VecDeque<Slot<'_>> {
        assert_eq!(start(pace, &SLOW, ms(0)), Some(ms(0)));
        let wait = |_| match pace.reserve(&SLOW, ms(0)) {
            Turn::Wait(slot) => slot,
            other => panic!("no turn: {other:?}"),
        };
        (0..count).map(wait).collect()
    }

    #[test]
    fn a_turn_in_the_middle_goes_to_who_calls_next() {
        let pace = Pace::new();
        let mut waiters = waiters(&pace, 3);
        drop(waiters.remove(1));
        assert_eq!([(); 2].map(|()| start(&pace, &SLOW, ms(0))), [Some(ms(2000)), Some(ms(4000))]);
    }

    #[test]
    fn a_turn_in_the_middle_whose_time_has_passed_is_nobodys() {
        let pace = Pace::new();
        let mut waiters = waiters(&pace, 2);
        drop(waiters.pop_front());
        assert_eq!(start(&pace, &SLOW, ms(1001)), Some(ms(3000)));
        drop(waiters);
    }

    #[test]
    fn waiters_that_go_away_in_any_order_use_nothing_up() {
        for seed in 0..50 {
            let pace = Pace::new();
            let mut waiters = waiters(&pace, 30);
            let mut random = fastrand::Rng::with_seed(seed);
            // The first goes first, as with timeouts, or any does.
            while !waiters.is_empty() {
                let leaves = if seed == 0 { 0 } else { random.usize(..waiters.len()) };
                drop(waiters.remove(leaves));
            }
            assert_eq!(start(&pace, &SLOW, ms(0)), Some(ms(1000)), "seed {seed}");
            assert_eq!(start(&pace, &SLOW, ms(5000)), Some(ms(5000)), "seed {seed}");
        }
    }

    #[test]
    fn a_relaxed_rule_holds_at_once_and_forgives_what_was_booked_under_the_other() {
        let hourly = RateLimit { permits: 1, per: Duration::from_secs(3600), wait: Duration::ZERO };
        let relaxed = RateLimit { permits: 10, per: Duration::from_secs(1), wait: Duration::ZERO };
        let pace = Pace::new();
        assert_eq!(start(&pace, &hourly, ms(0)), Some(ms(0)));
        assert_eq!(start(&pace, &relaxed, ms(1000)), None, "as if a burst had just started");
        assert_eq!(start(&pace, &relaxed, ms(1100)), Some(ms(1100)));
        assert_eq!(start(&pace, &relaxed, ms(1150)), None);
        assert_eq!(start(&pace, &relaxed, ms(1200)), Some(ms(1200)));
    }

    #[test]
    fn a_turn_from_before_a_reload_is_kept_and_does_not_go_back() {
        let pace = Pace::new();
        let waiters = waiters(&pace, 3);
        let relaxed = RateLimit { permits: 10, wait: Duration::ZERO, ..SLOW };
        assert_eq!(start(&pace, &relaxed, ms(0)), None);
        drop(waiters);
        assert_eq!(start(&pace, &relaxed, ms(99)), None);
        assert_eq!(start(&pace, &relaxed, ms(100)), Some(ms(100)));
    }

    #[test]
    fn a_limit_beyond_all_time_does_not_overflow() {
        let pace = Pace::new();
        let rule = RateLimit { permits: 1, per: Duration::MAX, wait: Duration::ZERO };
        assert_eq!(start(&pace, &rule, ms(1)), Some(ms(1)));
        assert_eq!(start(&pace, &rule, ms(2)), None);
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_a_burst_and_its_refill(
            permits in 1_u32..6,
            steps in prop::collection::vec((0_u64..400, 0_usize..8), 1..80),
        ) {
            let rule = RateLimit { permits, wait: Duration::from_secs(3), ..RULE };
            let (pace, mut now, mut starts) = (Pace::new(), 0, Vec::new());
            let mut waiting: Vec<Slot<'_>> = Vec::new();
            for (pause, step) in steps {
                now += pause;
                // Those whose turn has come start.
                for slot in waiting.extract_if(.., |slot| slot.at() <= ms(now)) {
                    starts.push(slot.at());
                    slot.take();
                }
                match step {
                    // One of those who wait goes away; often the first, who has waited longest.
                    0..3 if !waiting.is_empty() => drop(waiting.remove(step * 7 % waiting.len())),
                    _ => match pace.reserve(&rule, ms(now)) {
                        Turn::Wait(slot) => waiting.push(slot),
                        Turn::Ready => starts.push(ms(now)),
                        Turn::Refused => {}
                    }
                }
            }
            for slot in waiting {
                starts.push(slot.at());
                slot.take();
            }
            starts.sort();
            let spacing = 1_000_000_000_u64.div_ceil(u64::from(permits));
            for (n, first) in starts.iter().enumerate() {
                for (more, last) in starts[n..].iter().enumerate() {
                    let allowed = u64::from(permits) + (last.as_nanos() - first.as_nanos()) / spacing;
                    prop_assert!((more as u64) < allowed, "{} calls in {:?}", more + 1, last.since(*first));
                }
            }
        }
    }
}
