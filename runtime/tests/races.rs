//! Who wins when several things happen to a call at the same instant: thousands of random stories on tokio's paused clock, each with the
//! end that a model tells. All times are multiples of ten milliseconds, so that most of them meet.

mod common;

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::Duration;

use backstop::{Outcome, TimeoutError, timeout_async};
use futures::FutureExt;
use tokio::time::{self, Instant, sleep, sleep_until};

const STORIES: u64 = 3_000;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What a body does, and when its caller goes away.
#[derive(Debug)]
struct Story {
    steps: Vec<Step>,
    end: End,
    dropped_at: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Awaits for so many milliseconds.
    Wait(u64),
    /// Holds its thread for so many milliseconds.
    Block(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Value,
    Error,
    Panic,
}

#[derive(Debug)]
enum Failure {
    Timeout(TimeoutError),
    Own,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Error for Failure {}

impl From<TimeoutError> for Failure {
    fn from(error: TimeoutError) -> Self {
        Failure::Timeout(error)
    }
}

impl Story {
    fn random(random: &mut fastrand::Rng, may_be_dropped: bool) -> Self {
        let steps = (0..random.u64(0..5)).map(|_| match random.u64(0..4) {
            0 => Step::Block(random.u64(1..12) * 10),
            _ => Step::Wait(random.u64(1..8) * 10),
        });
        let steps = steps.collect();
        let end = [End::Value, End::Error, End::Error, End::Panic][random.usize(0..4)];
        let dropped_at = (may_be_dropped && random.bool()).then(|| random.u64(1..20) * 10);
        Self { steps, end, dropped_at }
    }

    async fn tell(&self) -> Result<u32, Failure> {
        for step in &self.steps {
            match step {
                Step::Wait(millis) => sleep(ms(*millis)).await,
                // The clock moves while the body does not yield.
                Step::Block(millis) => assert!(time::advance(ms(*millis)).now_or_never().is_none()),
            }
        }
        match self.end {
            End::Value => Ok(7),
            End::Error => Err(Failure::Own),
            // As `panic!` does, but without a word: thousands do it.
            End::Panic => std::panic::resume_unwind(Box::new("on purpose")),
        }
    }

    /// How a call with this limit must end, and when.
    fn ends(&self, limit: u64) -> (Outcome, u64) {
        let (mut now, mut polled_at, dropped_at) = (0, 0, self.dropped_at.unwrap_or(u64::MAX));
        for step in &self.steps {
            match *step {
                Step::Block(millis) => now += millis,
                Step::Wait(_) if limit <= polled_at => return (Outcome::Timeout, now),
                Step::Wait(_) if dropped_at <= now => return (Outcome::Cancelled, now),
                Step::Wait(_) if limit <= now => return (Outcome::Timeout, now),
                Step::Wait(millis) if dropped_at < limit.min(now + millis) => return (Outcome::Cancelled, dropped_at),
                Step::Wait(millis) if limit < now + millis => return (Outcome::Timeout, limit),
                // Also at the limit itself: the body is heard a last time.
                Step::Wait(millis) => {
                    now += millis;
                    polled_at = now;
                }
            }
        }
        match self.end {
            End::Panic => (Outcome::Panicked, now),
            End::Value if now >= limit => (Outcome::Late, now),
            End::Value => (Outcome::Ok, now),
            End::Error if now >= limit => (Outcome::Timeout, now),
            End::Error => (Outcome::Error, now),
        }
    }

    /// Whether the body comes to its end in a call that times out.
    fn returns_in_time_out(&self, limit: u64) -> bool {
        let (mut now, mut heard) = (0, true);
        for step in &self.steps {
            match *step {
                Step::Block(millis) => now += millis,
                Step::Wait(millis) => {
                    heard &= now < limit && now + millis <= limit;
                    now += millis;
                }
            }
        }
        heard && self.end == End::Error
    }
}

/// What the caller saw, and after how many milliseconds. It looks at the call first, and then at the clock whether to go away.
async fn seen<F: Future<Output = Result<u32, Failure>>>(story: &Story, call: F) -> (Outcome, u64, Option<TimeoutError>) {
    let before = Instant::now();
    let dropped_at = before + ms(story.dropped_at.unwrap_or(86_400_000));
    let (mut call, mut goes) = (Box::pin(AssertUnwindSafe(call).catch_unwind()), Box::pin(sleep_until(dropped_at)));
    let result = poll_fn(|cx| match call.poll_unpin(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if Instant::now() >= dropped_at => Poll::Ready(None),
        Poll::Pending => goes.poll_unpin(cx).map(|()| None),
    });
    let result = result.await;
    drop(call);
    let after = u64::try_from(before.elapsed().as_millis()).unwrap();
    match result {
        Some(Err(_)) => (Outcome::Panicked, after, None),
        None => (Outcome::Cancelled, after, None),
        Some(Ok(Ok(_))) => (Outcome::Ok, after, None),
        Some(Ok(Err(Failure::Own))) => (Outcome::Error, after, None),
        Some(Ok(Err(Failure::Timeout(error)))) => (Outcome::Timeout, after, Some(error)),
    }
}

/// A late value is a value.
fn as_seen(outcome: Outcome) -> Outcome {
    if outcome == Outcome::Late { Outcome::Ok } else { outcome }
}

/// Tells many stories, the same ones in every run.
async fn tell_all(may_be_dropped: bool, mut check: impl AsyncFnMut(&Story)) {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..STORIES {
        check(&Story::random(&mut random, may_be_dropped)).await;
    }
}

/// How often each outcome was expected, against the counters.
#[derive(Default)]
struct Expected(Vec<Outcome>);

impl Expected {
    fn agrees_with(&self, name: &str) {
        let stats = common::stats(name);
        for outcome in Outcome::ALL {
            let expected = self.0.iter().filter(|expected| **expected == outcome).count() as u64;
            assert_eq!(stats.outcome(outcome), expected, "{name}: {outcome:?}");
        }
        assert_eq!(stats.in_flight, 0, "{name}");
    }
}

#[timeout_async(millis = 100, name = "races.alone")]
async fn alone(story: &Story) -> Result<u32, Failure> {
    story.tell().await
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_meets_an_end_or_the_callers_drop_is_settled_as_the_rules_say() {
    let mut expected = Expected::default();
    tell_all(true, async |story: &Story| {
        let (outcome, at) = story.ends(100);
        let (saw, after, error) = seen(story, alone(story)).await;
        assert_eq!((saw, after), (as_seen(outcome), at), "{story:?}");
        let source = error.map(|error| error.source().is_some());
        assert_eq!(source.unwrap_or(false), saw == Outcome::Timeout && story.returns_in_time_out(100), "{story:?}");
        expected.0.push(outcome);
    })
    .await;
    expected.agrees_with("races.alone");
    assert!(Outcome::ALL[..3].iter().all(|outcome| expected.0.contains(outcome)), "the stories tell of everything");
}

/// A call with a limit of its own inside one of 100 ms.
macro_rules! nested {
    ($test:ident, $outer:ident, $inner:ident, $limit:literal, $outer_name:literal, $inner_name:literal) => {
        #[timeout_async(millis = $limit, name = $outer_name)]
        async fn $outer(story: &Story) -> Result<u32, Failure> {
            $inner(story).await
        }

        #[timeout_async(millis = 100, name = $inner_name)]
        async fn $inner(story: &Story) -> Result<u32, Failure> {
            story.tell().await
        }

        #[tokio::test(start_paused = true)]
        async fn $test() {
            let mut expected = Expected::default();
            tell_all(true, async |story: &Story| {
                let outcome = outer_ends(story, $limit);
                let (saw, after, error) = seen(story, $outer(story)).await;
                assert_eq!(after, outcome.1, "{story:?}");
                if let Some(error) = error {
                    let whose = if outcome.0 == Outcome::Timeout { $outer_name } else { $inner_name };
                    assert_eq!((error.function(), saw), (whose, Outcome::Timeout), "{story:?}");
                } else {
                    assert_eq!(saw, as_seen(outcome.0), "{story:?}");
                }
                expected.0.push(outcome.0);
            })
            .await;
            expected.agrees_with($outer_name);
            let inner = common::stats($inner_name);
            if $limit <= 100 {
                assert_eq!(inner.outcome(Outcome::Timeout), 0, "a limit of two is the caller's, also where they are equal");
            }
            assert_eq!((inner.outcomes.iter().sum::<u64>(), inner.in_flight), (STORIES, 0), "each call is counted once");
        }
    };
}

/// The inner call ends by its own limit, where that is the earlier; then the outer one judges what it returned.
fn outer_ends(story: &Story, limit: u64) -> (Outcome, u64) {
    if limit <= 100 {
        return story.ends(limit);
    }
    let (inner, at) = story.ends(100);
    let outer = match inner {
        Outcome::Timeout | Outcome::Error if at >= limit => Outcome::Timeout,
        Outcome::Timeout | Outcome::Error => Outcome::Error,
        Outcome::Late | Outcome::Ok if at >= limit => Outcome::Late,
        Outcome::Late | Outcome::Ok => Outcome::Ok,
        other => other,
    };
    (outer, at)
}

nested!(a_callers_earlier_deadline_wins_every_race, earlier, within_earlier, 60, "races.earlier", "races.within_earlier");
nested!(a_callers_deadline_at_the_same_instant_is_the_callers, same, within_same, 100, "races.same", "races.within_same");
nested!(a_callers_later_deadline_leaves_the_inner_one_in_force, later, within_later, 140, "races.later", "races.within_later");
