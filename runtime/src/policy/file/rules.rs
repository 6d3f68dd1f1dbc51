//! `[defaults]` and `[functions."…"]`: the same keys in both.

use std::time::Duration;

use super::reader::{Reader, Value, is_none, list};
use crate::policy::problem::Problem;
use crate::policy::rules::{BreakerPart, DevicePart, RatePart, RetryPart, Rules};
use crate::policy::settings::{Escalation, OnLate, OnTimeout, RetryOn, Severity, WarnAt};

/// Every key of the two tables.
pub(in crate::policy) const KEYS: &[&str] = &[
    "enabled",
    "fenced",
    "timeout",
    "idle",
    "total",
    "warn_at",
    "grace",
    "on_timeout",
    "on_late",
    "inherit",
    "blocked_after",
    "retry",
    "breaker",
    "rate_limit",
    "concurrency",
    "escalate",
    "device",
];

/// A breaker remembers the time of each failure that counts; this bounds what it remembers.
const MOST_FAILURES: u32 = 10_000;

/// Reads one table of rules.
pub(super) fn rules(reader: &mut Reader<'_>, name: &str, value: &Value<'_>) -> Option<Rules> {
    let table = reader.table(name, value)?;
    reader.only(&table, KEYS);
    Some(Rules {
        enabled: reader.field(&table, "enabled", Reader::bool),
        fenced: reader.field(&table, "fenced", Reader::bool),
        timeout: reader.field(&table, "timeout", Reader::limit),
        idle: reader.field(&table, "idle", Reader::limit),
        total: reader.field(&table, "total", Reader::limit),
        warn_at: reader.field(&table, "warn_at", warn_at),
        grace: reader.field(&table, "grace", none_is_zero),
        on_timeout: reader.field(&table, "on_timeout", on_timeout),
        on_late: reader.field(&table, "on_late", on_late),
        inherit: reader.field(&table, "inherit", Reader::bool),
        blocked_after: reader.field(&table, "blocked_after", none_is_never),
        retry: reader.field(&table, "retry", retry),
        breaker: reader.field(&table, "breaker", breaker),
        rate_limit: reader.field(&table, "rate_limit", rate_limit),
        concurrency: reader.field(&table, "concurrency", concurrency),
        escalate: reader.field(&table, "escalate", escalate),
        device: reader.field(&table, "device", device),
    })
}

fn none_is_zero(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Duration> {
    reader.limit(key, value).map(Option::unwrap_or_default)
}

pub(super) fn none_is_never(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Duration> {
    reader.limit(key, value).map(|limit| limit.unwrap_or(Duration::MAX))
}

fn warn_at(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Option<WarnAt>> {
    if value.get_ref().is_str() {
        return reader.limit(key, value).map(|limit| limit.map(WarnAt::Elapsed));
    }
    match reader.number(key, value)? {
        fraction if fraction > 0.0 && fraction < 1.0 => Some(Some(WarnAt::Fraction(fraction))),
        fraction => {
            let help = "write a fraction of the limit such as 0.8, a duration such as \"20s\", or \"none\"";
            reader.report(Problem::at(value.span(), format!("`{key}` must be between 0 and 1, not {fraction}")).help(help));
            None
        }
    }
}

fn on_timeout(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<OnTimeout> {
    reader.word(key, value, &[("cancel", OnTimeout::Cancel), ("warn", OnTimeout::Warn)])
}

fn on_late(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<OnLate> {
    reader.word(key, value, &[("value", OnLate::Value), ("error", OnLate::Error)])
}

fn retry(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Option<RetryPart>> {
    if is_none(value) {
        return Some(None);
    }
    let table = reader.table(key, value)?;
    reader.only(&table, &["attempts", "initial", "max", "jitter", "on"]);
    Some(Some(RetryPart {
        attempts: reader.value(&table, "attempts", Reader::count),
        initial: reader.value(&table, "initial", none_is_zero),
        max: reader.value(&table, "max", Reader::duration),
        jitter: reader.value(&table, "jitter", Reader::bool),
        on: reader.value(&table, "on", retry_on),
    }))
}

fn retry_on(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<RetryOn> {
    let mut on = RetryOn { timeout: false, error: false, rejected: false };
    let elements = reader.array(key, value)?;
    if elements.is_empty() {
        reader.report(Problem::at(value.span(), "`on` names no failure, so nothing would be tried again").help("write retry = \"none\""));
        return None;
    }
    for element in elements {
        match reader.word(key, element, &[("timeout", 0), ("error", 1), ("rejected", 2)])? {
            0 => on.timeout = true,
            1 => on.error = true,
            _ => on.rejected = true,
        }
    }
    Some(on)
}

fn breaker(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Option<BreakerPart>> {
    if is_none(value) {
        return Some(None);
    }
    let table = reader.table(key, value)?;
    reader.only(&table, &["failures", "window", "open"]);
    Some(Some(BreakerPart {
        failures: reader.value(&table, "failures", |reader, key, value| reader.count_to(key, value, MOST_FAILURES)),
        window: reader.value(&table, "window", Reader::duration),
        open: reader.value(&table, "open", Reader::duration),
    }))
}

fn rate_limit(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Option<RatePart>> {
    if is_none(value) {
        return Some(None);
    }
    let table = reader.table(key, value)?;
    reader.only(&table, &["permits", "per", "wait"]);
    Some(Some(RatePart {
        permits: reader.value(&table, "permits", Reader::count),
        per: reader.value(&table, "per", Reader::duration),
        wait: reader.value(&table, "wait", none_is_zero),
    }))
}

/// More calls than this at a time are no limit at all.
const MOST_CALLS: u32 = 1_000_000;

fn concurrency(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Option<u32>> {
    if is_none(value) {
        return Some(None);
    }
    reader.count_to(key, value, MOST_CALLS).map(Some)
}

pub(super) fn escalate(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Vec<Escalation>> {
    let steps = reader.array(key, value)?;
    // Every step is read before one is missed, so that all problems are reported.
    let read: Vec<Option<Escalation>> = steps.iter().map(|step| escalation(reader, key, step)).collect();
    let read: Vec<Escalation> = read.into_iter().collect::<Option<_>>()?;
    for (n, step) in read.iter().enumerate() {
        if read[n + 1..].iter().any(|later| reached_with(later, step)) {
            reader.report(
                Problem::at(steps[n].span(), "this step can never decide: a later one is reached whenever it is, and the last one decides")
                    .help("sort the steps by `after`, the lowest first"),
            );
        }
    }
    Some(read)
}

/// Whether `later` is reached whenever `step` is.
fn reached_with(later: &Escalation, step: &Escalation) -> bool {
    let as_long = match (later.within, step.within) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(later), Some(step)) => later >= step,
    };
    later.after <= step.after && as_long
}

fn escalation(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Escalation> {
    let table = reader.table(key, value)?;
    reader.only(&table, &["after", "within", "severity", "notify"]);
    let after = reader.value(&table, "after", Reader::count);
    let within = reader.value(&table, "within", Reader::duration);
    let severity = reader.value(&table, "severity", severity);
    let notify = reader.value(&table, "notify", Reader::notify).unwrap_or_default();
    let missing: Vec<&str> = ["after", "severity"].into_iter().filter(|key| table.get(key).is_none()).collect();
    if !missing.is_empty() {
        reader.report(Problem::at(value.span(), format!("this step of `{key}` lacks {}", list(&missing))));
    }
    Some(Escalation { after: after?, within, severity: severity?, notify })
}

fn severity(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Severity> {
    let words = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical].map(|severity| (severity.as_str(), severity));
    reader.word(key, value, &words)
}

/// What a `device` table may say.
pub(crate) const DEVICE_KEYS: [&str; 5] = ["fallback", "sticky_after", "retry_device_after", "preflight", "cpu"];

fn device(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<DevicePart> {
    let table = reader.table(key, value)?;
    reader.only(&table, &DEVICE_KEYS);
    Some(DevicePart {
        fallback: reader.value(&table, "fallback", Reader::bool),
        sticky_after: reader.value(&table, "sticky_after", Reader::count),
        retry_device_after: reader.value(&table, "retry_device_after", Reader::duration),
        preflight: reader.value(&table, "preflight", Reader::bool),
        cpu: reader.value(&table, "cpu", Reader::bool),
    })
}
