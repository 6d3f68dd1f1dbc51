//! The tables at the end.

use std::fmt::Write;
use std::time::Duration;

use backstop::{FunctionStats, Outcome};

use crate::session::Report;

/// One row for each annotated function that was called; a sentence where there is none.
#[must_use]
pub fn functions(stats: &[FunctionStats]) -> String {
    if stats.is_empty() {
        return "No annotated function: this build leaves every function as written.\n".to_owned();
    }
    let width = stats.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let heads = ["calls", "ok", "errors", "timeouts", "retries", "fallbacks", "to CPU", "blocked", "longest"];
    let mut table = format!("{:<width$}", "function");
    for head in heads {
        let _ = write!(table, " {head:>9}");
    }
    table.push('\n');
    for row in stats {
        let _ = write!(table, "{:<width$}", row.name);
        for number in numbers(row) {
            let _ = write!(table, " {number:>9}");
        }
        let _ = writeln!(table, " {:>9}", short(row.longest));
    }
    table
}

fn numbers(row: &FunctionStats) -> [u64; 8] {
    let timeouts = row.outcome(Outcome::Timeout) + row.outcome(Outcome::Idle) + row.outcome(Outcome::Late);
    let errors = row.outcome(Outcome::Error) + row.outcome(Outcome::Panicked) + row.outcome(Outcome::Rejected);
    [row.calls, row.outcome(Outcome::Ok), errors, timeouts, row.retries, row.fallbacks, row.device_fallbacks, row.blocked_polls]
}

fn short(time: Duration) -> String {
    match time.as_micros() {
        0 => "-".to_owned(),
        micros @ 1..1_000 => format!("{micros} µs"),
        micros @ 1_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// What the trading came to.
#[must_use]
pub fn profit(report: &Report) -> String {
    let curve = &report.curve;
    let mut text = format!(
        "{} bars traded, {} lessons learnt: {:.2} became {:.2}, a profit of {:+.2} ({:+.2} %), deepest fall {:.2} %\n",
        curve.points().len(),
        report.lessons,
        curve.start(),
        curve.last(),
        curve.profit(),
        100.0 * curve.profit_part(),
        100.0 * curve.deepest_fall(),
    );
    let _ = writeln!(text, "equity curve {:016x}, weights {:016x}", curve.checksum(), report.weights);
    text.push_str(match report.stopped {
        true => "Stopped before the market closed.\n",
        false => "This seed gives these bits on every device, with faults or without.\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(short(Duration::ZERO), "-");
        assert_eq!(short(Duration::from_micros(40)), "40 µs");
        assert_eq!(short(Duration::from_millis(1999)), "2.0 s");
        assert_eq!(short(Duration::from_millis(999)), "999 ms");
    }

    #[test]
    fn a_build_without_guards_says_so() {
        assert!(functions(&[]).contains("as written"));
    }
}
