//! How long the reporter has been at one piece of work, for the watchdog to see; and that a panic in one ends nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Tick;
use crate::metrics::process;

/// Since when the reporter has been at one piece of work; `u64::MAX` while it waits for the next.
static BUSY: AtomicU64 = AtomicU64::new(u64::MAX);

/// How long the reporter has been at one piece of work.
pub(crate) fn busy_for(now: Tick) -> Duration {
    match BUSY.load(Ordering::Relaxed) {
        u64::MAX => Duration::ZERO,
        since => now.since(Tick::from_nanos(since)),
    }
}

/// Runs one piece of work, and lets the watchdog see how long it takes.
pub(super) fn busy(work: impl FnOnce()) {
    BUSY.store(Tick::now().as_nanos(), Ordering::Relaxed);
    survive(work);
    BUSY.store(u64::MAX, Ordering::Relaxed);
}

/// Runs `work`; a panic (of a subscriber, a recorder, a hook) is counted and ends nothing.
pub(super) fn survive(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        process::drop_one("reporter_panic");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::names::DROPPED_WHAT;

    #[test]
    fn a_panic_on_the_reporters_thread_is_counted_and_ends_nothing() {
        let count = || process::dropped(DROPPED_WHAT.iter().position(|what| *what == "reporter_panic").unwrap());
        let before = count();
        survive(|| panic!("a subscriber with a bug"));
        assert!(count() > before);
    }
}
