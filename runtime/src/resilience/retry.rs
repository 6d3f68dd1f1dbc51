//! Whether and when a failed call is tried again.

use std::time::Duration;

use crate::clock::Tick;
use crate::policy::{Retry, RetryOn};

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its limit or its idle time passed.
    Timeout,
    /// The body returned its own `Err`.
    Error,
    /// The breaker, the rate limit or the bulkhead refused it.
    Rejected,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt after this pause, which ends at `at`.
    Again { pause: Duration, at: Tick },
    /// The failure stands.
    Stop(Stop),
}

/// Why a failure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The policy does not retry failures of this kind.
    NotListed,
    /// That was the last attempt.
    NoAttemptLeft,
    /// The pause would reach beyond the deadline of the whole call, so there is no point in sleeping.
    NoTimeLeft,
}

/// What follows after attempt number `attempt` (from 1) failed at `now`. `deadline` is that of the whole call.
///
/// `pauses` is asked for a pause only where another attempt is due; where it has none left, the failure stands. A call that its caller drops
/// never comes here: cancellation is no failure.
pub(crate) fn decide(
    rule: &Retry,
    failure: Failure,
    attempt: u32,
    now: Tick,
    deadline: Tick,
    pauses: &mut impl Iterator<Item = Duration>,
) -> Next {
    if !listed(rule.on, failure) {
        return Next::Stop(Stop::NotListed);
    }
    if attempt >= rule.attempts {
        return Next::Stop(Stop::NoAttemptLeft);
    }
    let Some(pause) = pauses.next() else {
        return Next::Stop(Stop::NoAttemptLeft);
    };
    let at = now.after(pause);
    if at >= deadline { Next::Stop(Stop::NoTimeLeft) } else { Next::Again { pause, at } }
}

fn listed(on: RetryOn, failure: Failure) -> bool {
    match failure {
        Failure::Timeout => on.timeout,
        Failure::Error => on.error,
        Failure::Rejected => on.rejected,
    }
}

/// The pauses between attempts: doubled each time up to a longest one, and with jitter drawn between zero and that ("full jitter"), so that
/// callers who failed together do not come back together. Never ends, never overflows, and no pause is longer than the longest.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    jitter: Option<fastrand::Rng>,
}

impl Backoff {
    /// The pauses of `rule`, drawn from a seed of this thread.
    pub(crate) fn new(rule: &Retry) -> Self {
        Self::with(rule, fastrand::Rng::new)
    }

    /// The same pauses for the same seed.
    #[cfg(test)]
    pub(crate) fn seeded(rule: &Retry, seed: u64) -> Self {
        Self::with(rule, || fastrand::Rng::with_seed(seed))
    }

    fn with(rule: &Retry, random: impl FnOnce() -> fastrand::Rng) -> Self {
        Self { next: rule.initial.min(rule.max), max: rule.max, jitter: rule.jitter.then(random) }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let longest = self.next;
        self.next = longest.saturating_mul(2).min(self.max);
        Some(match &mut self.jitter {
            None => longest,
            Some(random) => Duration::from_nanos(random.u64(0..=u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX))),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Tick = Tick::from_nanos(0);

    fn rule() -> Retry {
        Retry {
            attempts: 3,
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
            jitter: false,
            on: RetryOn { timeout: true, error: false, rejected: false },
        }
    }

    fn decided(failure: Failure, attempt: u32, deadline: Tick) -> Next {
        decide(&rule(), failure, attempt, NOW, deadline, &mut Backoff::new(&rule()))
    }

    #[test]
    fn three_attempts_are_two_retries() {
        let pause = Duration::from_millis(100);
        assert_eq!(decided(Failure::Timeout, 1, Tick::NEVER), Next::Again { pause, at: NOW.after(pause) });
        assert_eq!(decided(Failure::Timeout, 2, Tick::NEVER), Next::Again { pause, at: NOW.after(pause) });
        assert_eq!(decided(Failure::Timeout, 3, Tick::NEVER), Next::Stop(Stop::NoAttemptLeft));
    }

    #[test]
    fn a_failure_that_is_not_listed_stands() {
        assert_eq!(decided(Failure::Error, 1, Tick::NEVER), Next::Stop(Stop::NotListed));
        assert_eq!(decided(Failure::Rejected, 1, Tick::NEVER), Next::Stop(Stop::NotListed));
    }

    #[test]
    fn a_pause_beyond_the_deadline_is_not_slept() {
        let deadline = NOW.after(Duration::from_millis(100));
        assert_eq!(decided(Failure::Timeout, 1, deadline), Next::Stop(Stop::NoTimeLeft));
        let later = NOW.after(Duration::from_millis(101));
        assert!(matches!(decided(Failure::Timeout, 1, later), Next::Again { .. }));
    }

    #[test]
    fn pauses_of_a_foreign_iterator_are_taken_until_it_ends() {
        let mut pauses = [Duration::ZERO].into_iter();
        let mut next = || decide(&rule(), Failure::Timeout, 1, NOW, Tick::NEVER, &mut pauses);
        assert!(matches!(next(), Next::Again { .. }));
        assert_eq!(next(), Next::Stop(Stop::NoAttemptLeft));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u128> = Backoff::new(&rule()).take(6).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn the_same_seed_draws_the_same_pauses_and_not_all_of_them_are_zero() {
        let rule = Retry { initial: Duration::from_millis(400), max: Duration::from_millis(400), jitter: true, ..rule() };
        let pauses: Vec<Duration> = Backoff::seeded(&rule, 7).take(50).collect();
        assert_eq!(pauses, Backoff::seeded(&rule, 7).take(50).collect::<Vec<_>>());
        assert_ne!(pauses, Backoff::seeded(&rule, 8).take(50).collect::<Vec<_>>());
        assert!(pauses.iter().any(|pause| !pause.is_zero()));
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_the_longest(initial: Duration, max: Duration, jitter: bool, seed: u64) {
            let rule = Retry { initial, max, jitter, ..rule() };
            for pause in Backoff::seeded(&rule, seed).take(1000) {
                prop_assert!(pause <= max);
            }
        }

        #[test]
        fn no_attempt_begins_at_or_after_the_deadline(now in 0_u64..1_000_000_000, deadline in 0_u64..2_000_000_000, attempt in 1_u32..5) {
            let (now, deadline) = (Tick::from_nanos(now), Tick::from_nanos(deadline));
            if let Next::Again { at, .. } = decide(&rule(), Failure::Timeout, attempt, now, deadline, &mut Backoff::new(&rule())) {
                prop_assert!(at < deadline);
            }
        }
    }
}
