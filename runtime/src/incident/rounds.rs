//! Whether the reporter comes forward, for the watchdog to see; and that a panic in a piece of its work ends nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::process;

/// Grows with every piece of work, and a few times a second where there is none.
static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// The reporter comes forward.
pub(super) fn come_round() {
    ROUNDS.fetch_add(1, Ordering::Relaxed);
}

/// Another number as long as the reporter comes forward.
pub(crate) fn rounds() -> u64 {
    ROUNDS.load(Ordering::Relaxed)
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
