//! One line a second for what repeats itself, without a lock and within a fixed size.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Tick;
use crate::site::Site;

/// Between two lines about the same.
const PAUSE_MS: u32 = 1000;

/// More than a program has functions that keep failing; two that share a place only log more often.
const PLACES: usize = 256;

/// When what was last logged: in each place the key's upper half, and milliseconds in the lower one.
pub(super) struct Repeats([AtomicU64; PLACES]);

impl Repeats {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; PLACES])
    }

    /// Whether a line about this class of fault of this function is to be logged now.
    pub(super) fn is_due(&self, site: &Site, class: &str, now: Tick) -> bool {
        const UPPER: u64 = !(u32::MAX as u64);
        let key = key(site, class);
        let place = &self.0[key as usize % PLACES];
        // Milliseconds wrap after 49 days, and so does their difference.
        let now = (now.as_nanos() / 1_000_000) as u32;
        let last = place.load(Ordering::Relaxed);
        if last & UPPER == key & UPPER && now.wrapping_sub(last as u32) < PAUSE_MS {
            return false;
        }
        // Of two threads at the same time one logs.
        place.compare_exchange(last, key & UPPER | u64::from(now), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn key(site: &Site, class: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    site.name().hash(&mut hasher);
    class.hash(&mut hasher);
    // Never the upper half of an empty place.
    hasher.finish() | 1 << 63
}

#[cfg(test)]
mod tests {
    use super::*;

    static ONE: Site = Site::safe_mps_op("one");
    static OTHER: Site = Site::safe_mps_op("other");

    fn at(ms: u64) -> Tick {
        Tick::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn the_same_fault_of_the_same_function_is_logged_once_a_second() {
        let repeats = Repeats::new();
        let lines = (0..3000).filter(|ms| repeats.is_due(&ONE, "unsupported_op", at(*ms))).count();
        assert_eq!(lines, 3);
    }

    #[test]
    fn another_function_and_another_class_are_logged_at_once() {
        let repeats = Repeats::new();
        assert!(repeats.is_due(&ONE, "unsupported_op", at(5)));
        assert!(repeats.is_due(&OTHER, "unsupported_op", at(5)));
        assert!(repeats.is_due(&ONE, "out_of_memory", at(5)));
        assert!(!repeats.is_due(&ONE, "unsupported_op", at(6)));
    }
}
