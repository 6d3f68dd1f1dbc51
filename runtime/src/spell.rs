//! How durations and bytes are spelled for a person.

use std::time::Duration;

/// A duration as a person says it: three places that matter, `1m 30s`, `4s`, `250ms`, `80µs`.
pub(crate) fn spell(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let unit: u128 = match nanos {
        0..10_000 => 1,
        10_000..10_000_000 => 1_000,
        10_000_000..10_000_000_000 => 1_000_000,
        10_000_000_000..600_000_000_000 => 100_000_000,
        _ => 1_000_000_000,
    };
    let rounded = u64::try_from(nanos / unit * unit).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_nanos(rounded)).to_string().replace("us", "µs")
}

/// Bytes in the largest binary unit that leaves at least one.
#[allow(clippy::cast_precision_loss, reason = "one decimal place is printed")]
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_cut_to_what_matters() {
        let spelled = |nanos| spell(Duration::from_nanos(nanos));
        assert_eq!(spelled(0), "0s");
        assert_eq!(spelled(80_999), "80µs");
        assert_eq!(spelled(250_123_456), "250ms");
        assert_eq!(spelled(1_500_700_000), "1s 500ms");
        assert_eq!(spelled(30_123_000_000), "30s 100ms");
        assert_eq!(spelled(3_723_900_000_000), "1h 2m 3s");
    }

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(3 << 30)], ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]);
    }
}
