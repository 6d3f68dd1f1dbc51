//! A rate limit: so many calls in so much time, evenly spaced once the first burst is used up.
//!
//! This is GCRA on one atomic number, the time at which the calls so far are paid for. Up to `permits` calls may start at once; from then
//! on one every `per / permits`. A call that has to wait is given its turn at once, so that turns are kept in order and no waiter wakes
//! to find its turn taken. The state knows no settings: a reload changes the spacing from the next call on.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Tick;
use crate::policy::RateLimit;

/// The rate limit of one function.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// In nanoseconds: when the calls so far are paid for.
    paid: AtomicU64,
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

/// A turn that has been given to one call. Dropped before it is [taken](Slot::take), it goes back where that can still be done: only the
/// last turn that was given, because those behind it have been told their time. A turn that does not go back stays unused.
#[derive(Debug)]
#[must_use = "a turn that is dropped goes back"]
pub(crate) struct Slot<'a> {
    pace: &'a Pace,
    at: Tick,
    before: u64,
    after: u64,
}

impl Pace {
    /// Nobody has called yet.
    pub(crate) const fn new() -> Self {
        Self { paid: AtomicU64::new(0) }
    }

    /// Gives a call its turn.
    pub(crate) fn reserve(&self, rule: &RateLimit, now: Tick) -> Turn<'_> {
        let per = u64::try_from(rule.per.as_nanos()).unwrap_or(u64::MAX);
        let spacing = per.div_ceil(u64::from(rule.permits.max(1)));
        // A burst uses up the time of all permits but the first.
        let burst = per.saturating_sub(spacing);
        let latest = now.after(rule.wait);
        let mut paid = self.paid.load(Ordering::Relaxed);
        loop {
            let from = paid.max(now.as_nanos());
            let at = Tick::from_nanos(from.saturating_sub(burst).max(now.as_nanos()));
            if at > latest {
                return Turn::Refused;
            }
            let after = from.saturating_add(spacing);
            match self.paid.compare_exchange_weak(paid, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if at <= now => return Turn::Ready,
                Ok(before) => return Turn::Wait(Slot { pace: self, at, before, after }),
                Err(changed) => paid = changed,
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
        // Where another turn was given since, the number differs and nothing goes back.
        let _ = self.pace.paid.compare_exchange(self.after, self.before, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_turn_in_the_middle_does_not_go_back() {
        let pace = Pace::new();
        let rule = RateLimit { permits: 1, wait: Duration::from_secs(9), ..RULE };
        assert_eq!(start(&pace, &rule, ms(0)), Some(ms(0)));
        let Turn::Wait(slot) = pace.reserve(&rule, ms(0)) else { panic!("no turn") };
        assert_eq!(start(&pace, &rule, ms(0)), Some(ms(2000)));
        drop(slot);
        assert_eq!(start(&pace, &rule, ms(0)), Some(ms(3000)));
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
            steps in prop::collection::vec((0_u64..400, any::<bool>()), 1..80),
        ) {
            let rule = RateLimit { permits, ..RULE };
            let (pace, mut now, mut starts) = (Pace::new(), 0, Vec::new());
            for (pause, drops) in steps {
                now += pause;
                match pace.reserve(&rule, ms(now)) {
                    Turn::Wait(slot) if drops => drop(slot),
                    Turn::Wait(slot) => { starts.push(slot.at()); slot.take(); }
                    Turn::Ready => starts.push(ms(now)),
                    Turn::Refused => {}
                }
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
