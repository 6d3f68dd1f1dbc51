//! The bounds of `backstop_call_duration_seconds`: from 100 µs to a day, whatever the limits are, so that counting needs no
//! configuration; exported are those that reach the longest limit in force.

use std::time::Duration;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Upper bounds in nanoseconds; a duration equal to a bound belongs to it. Longer ones go to one more bucket without a bound.
pub(crate) const BOUNDS: [u64; 27] = [
    100 * MICRO,
    250 * MICRO,
    500 * MICRO,
    MILLI,
    2_500 * MICRO,
    5 * MILLI,
    10 * MILLI,
    25 * MILLI,
    50 * MILLI,
    100 * MILLI,
    250 * MILLI,
    500 * MILLI,
    SECOND,
    2_500 * MILLI,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    120 * SECOND,
    300 * SECOND,
    600 * SECOND,
    1_800 * SECOND,
    3_600 * SECOND,
    10_800 * SECOND,
    21_600 * SECOND,
    43_200 * SECOND,
    86_400 * SECOND,
];

/// How many buckets are counted.
pub(crate) const COUNT: usize = BOUNDS.len() + 1;

/// For each number of binary digits, the first bucket that a number of that length can belong to: from there it is a step or two.
const FIRST: [u8; 65] = {
    let mut first = [0; 65];
    let mut digits = 1;
    while digits <= 64 {
        let smallest = 1 << (digits - 1);
        let mut bucket = 0;
        while bucket < BOUNDS.len() && BOUNDS[bucket] < smallest {
            bucket += 1;
        }
        first[digits] = bucket as u8;
        digits += 1;
    }
    first
};

/// The bucket of a duration in nanoseconds. On the path of every call: a table instead of a binary search.
pub(crate) fn index(nanos: u64) -> usize {
    let digits = (64 - nanos.leading_zeros()) as usize;
    let first = FIRST[digits] as usize;
    first + BOUNDS[first..].iter().take_while(|bound| **bound < nanos).count()
}

/// The nearest duration to `nanos` that belongs to bucket `index`.
pub(crate) fn clamp(index: usize, nanos: u64) -> u64 {
    let low = if index == 0 { 0 } else { BOUNDS[index - 1] + 1 };
    nanos.clamp(low, BOUNDS.get(index).copied().unwrap_or(u64::MAX))
}

/// The bounds in seconds that an exporter needs, so that a call at the longest limit, and one that overran it, still falls into a
/// bucket with a bound. Without a limit: all of them.
#[cfg_attr(not(feature = "prometheus"), allow(dead_code, reason = "only the exporter names its buckets"))]
pub(crate) fn reaching(longest: Option<Duration>) -> Vec<f64> {
    let longest = longest.map_or(u64::MAX, |limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
    let last = BOUNDS.partition_point(|bound| *bound <= longest).min(BOUNDS.len() - 1);
    BOUNDS[..=last].iter().map(|bound| seconds(*bound)).collect()
}

/// Nanoseconds as seconds. Monotone, so that a duration never leaves its bucket by the conversion.
#[allow(clippy::cast_precision_loss, reason = "exact up to 104 days, monotone beyond")]
pub(crate) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_equal_to_a_bound_belongs_to_it() {
        for (position, bound) in BOUNDS.iter().enumerate() {
            assert_eq!(index(*bound), position);
            assert_eq!(index(*bound + 1), position + 1);
        }
        assert_eq!(index(0), 0);
        for nanos in (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) + 1, (1_u64 << bit).wrapping_sub(1)]) {
            assert_eq!(index(nanos), BOUNDS.partition_point(|bound| *bound < nanos), "{nanos}");
        }
        assert_eq!(index(u64::MAX), COUNT - 1);
    }

    #[test]
    fn a_clamped_mean_stays_in_its_bucket() {
        for position in 0..COUNT {
            for nanos in [0, 7 * MILLI, 11 * SECOND, u64::MAX] {
                assert_eq!(index(clamp(position, nanos)), position);
            }
        }
    }

    #[test]
    fn the_exported_bounds_go_beyond_the_longest_limit() {
        let bounds = reaching(Some(Duration::from_secs(300)));
        assert_eq!(bounds.last(), Some(&600.0));
        assert!(bounds.contains(&300.0));
        assert_eq!(reaching(Some(Duration::from_millis(250))).last(), Some(&0.5));
        assert_eq!(reaching(Some(Duration::from_secs(1_000_000))).last(), Some(&86_400.0));
        assert_eq!(reaching(None).len(), BOUNDS.len());
    }
}
