//! Whether the watchdog comes round: when it should wake up, or since when it is awake. Anybody may look, without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Tick;

const NEVER: u64 = u64::MAX;

/// The beat of one thread.
pub(crate) struct Beat {
    /// When it wakes up; [`NEVER`] while it is awake, and before it begins.
    due: AtomicU64,
    /// Since when it is awake; [`NEVER`] while it sleeps.
    awake: AtomicU64,
}

/// The watchdog's.
pub(crate) static WATCHDOG: Beat = Beat::new();

impl Beat {
    pub(super) const fn new() -> Self {
        Self { due: AtomicU64::new(NEVER), awake: AtomicU64::new(NEVER) }
    }

    /// It is awake; when it should have woken up.
    pub(crate) fn wakes(&self, now: Tick) -> Option<Tick> {
        self.awake.store(now.as_nanos(), Relaxed);
        some(self.due.swap(NEVER, Relaxed))
    }

    /// It sleeps until `due`.
    pub(crate) fn sleeps(&self, due: Tick) {
        self.due.store(due.as_nanos(), Relaxed);
        self.awake.store(NEVER, Relaxed);
    }

    /// When it wakes up; `None` while it is awake, and before it begins.
    pub(crate) fn due(&self) -> Option<Tick> {
        some(self.due.load(Relaxed))
    }

    /// Since when it is awake; `None` while it sleeps, and before it begins.
    pub(crate) fn awake(&self) -> Option<Tick> {
        some(self.awake.load(Relaxed))
    }

    /// For how long it should have been awake, or has been and gone no further.
    pub(crate) fn silence(&self, now: Tick) -> Duration {
        let since = self.due().or_else(|| self.awake());
        since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

fn some(nanos: u64) -> Option<Tick> {
    (nanos != NEVER).then(|| Tick::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_sleeper_that_does_not_wake_up_and_one_that_hangs_at_its_work_are_silent() {
        let beat = Beat::new();
        assert_eq!(beat.silence(at(100)), Duration::ZERO, "it has not begun");
        beat.sleeps(at(110));
        assert_eq!((beat.silence(at(109)), beat.silence(at(113))), (Duration::ZERO, Duration::from_secs(3)));
        assert_eq!(beat.wakes(at(113)), Some(at(110)));
        assert_eq!((beat.due(), beat.silence(at(118))), (None, Duration::from_secs(5)));
        beat.sleeps(at(130));
        assert_eq!(beat.silence(at(119)), Duration::ZERO);
    }
}
