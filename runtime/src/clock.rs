//! The one place that knows the time.
//!
//! A [`Tick`] is a point in time in nanoseconds since the program first asked. Judges and layers are given ticks; they never
//! ask for the time themselves, so that tests drive them without sleeping.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How far before the first reading the ticks begin: a paused clock may stand at an earlier instant.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A point in time, in nanoseconds since the first reading of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// Later than every other tick: a deadline that never comes.
    pub const NEVER: Tick = Tick(u64::MAX);

    /// The monotonic time now.
    #[must_use]
    pub fn now() -> Self {
        Self::of(Instant::now())
    }

    /// The tick of an instant; instants before the first reading are tick 0.
    #[must_use]
    pub fn of(instant: Instant) -> Self {
        static BASE: OnceLock<Instant> = OnceLock::new();
        let base = BASE.get_or_init(|| instant.checked_sub(DAY).unwrap_or(instant));
        Self(nanos(instant.saturating_duration_since(*base)))
    }

    /// A tick from its nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The nanoseconds since the first reading.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This much earlier; the first tick where that is before it.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// This much later; [`NEVER`](Self::NEVER) where that is beyond 584 years.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Which clock a task lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The monotonic clock; the watchdog wakes who sleeps by it.
    Wall,
    /// tokio's paused clock, in a test; tokio's timer wakes who sleeps by it.
    Paused,
}

impl Clock {
    /// The clock of the task that is running here.
    ///
    /// tokio's clock stands still between two readings of the monotonic clock, or has been advanced beyond them, exactly when it is
    /// paused. The two extra readings are made in builds with debug assertions only: tests have these, production has not.
    #[inline]
    pub(crate) fn here() -> Self {
        if !cfg!(debug_assertions) {
            return Clock::Wall;
        }
        let before = Instant::now();
        let tokio = tokio::time::Instant::now().into_std();
        let after = Instant::now();
        if (before..=after).contains(&tokio) { Clock::Wall } else { Clock::Paused }
    }

    /// The time by this clock.
    pub(crate) fn now(self) -> Tick {
        match self {
            Clock::Wall => Tick::now(),
            Clock::Paused => Tick::of(tokio::time::Instant::now().into_std()),
        }
    }
}

impl Tick {
    /// The instant of this tick.
    pub(crate) fn instant(self) -> Instant {
        let now = Instant::now();
        let tick = Self::of(now);
        if self >= tick { now.checked_add(self.since(tick)).unwrap_or(now) } else { now.checked_sub(tick.since(self)).unwrap_or(now) }
    }
}
