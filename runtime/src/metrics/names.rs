//! Every metric's name, labels and meaning. Dashboards rely on them: a change here is a breaking change.

use metrics::{Recorder, SharedString, Unit};

pub(crate) const CALLS: &str = "backstop_calls_total";
pub(crate) const DURATION: &str = "backstop_call_duration_seconds";
pub(crate) const IN_FLIGHT: &str = "backstop_in_flight";
pub(crate) const RETRIES: &str = "backstop_retries_total";
pub(crate) const DEVICE_FALLBACKS: &str = "backstop_device_fallbacks_total";
pub(crate) const DEVICE_ROUTE: &str = "backstop_device_route";
pub(crate) const BLOCKED_POLLS: &str = "backstop_blocked_polls_total";
pub(crate) const INCIDENTS: &str = "backstop_incidents_total";
pub(crate) const BREAKER_STATE: &str = "backstop_breaker_state";
pub(crate) const ORPHANS: &str = "backstop_orphans";
pub(crate) const DROPPED: &str = "backstop_dropped_total";
pub(crate) const RUNTIME_STALLED: &str = "backstop_runtime_stalled";
pub(crate) const WATCHDOG_LAG: &str = "backstop_watchdog_lag_seconds";
pub(crate) const POLICY_GENERATION: &str = "backstop_policy_generation";
pub(crate) const POLICY_RELOAD_FAILED: &str = "backstop_policy_reload_failed_total";

/// The label `device` of [`DEVICE_FALLBACKS`]: device types, so that the number of series is bounded.
pub(crate) const DEVICES: [&str; 3] = ["mps", "cuda", "other"];

/// The label `class` of [`DEVICE_FALLBACKS`].
pub(crate) const DEVICE_CLASSES: [&str; 15] = [
    "unsupported_op",
    "unsupported_dtype",
    "unsupported_config",
    "size_limit",
    "out_of_memory",
    "device_mismatch",
    "generator_mismatch",
    "backend_internal",
    "kernel_build",
    "library_error",
    "backend_unavailable",
    "poisoned",
    "collective",
    "stream_capture",
    "other",
];

/// The label `what` of [`DROPPED`].
pub(crate) const DROPPED_WHAT: [&str; 14] = [
    "call",
    "connection",
    "finding",
    "incident",
    "late_report",
    "log",
    "notification",
    "notification_failed",
    "record",
    "report",
    "reporter_panic",
    "stack",
    "watchdog",
    "other",
];

enum Shape {
    Counter,
    Gauge,
    Histogram,
}

const ALL: [(&str, Shape, Option<Unit>, &str); 15] = [
    (CALLS, Shape::Counter, None, "Guarded calls that ended, by function and outcome."),
    (DURATION, Shape::Histogram, Some(Unit::Seconds), "How long guarded calls took, all attempts included; refused calls are left out."),
    (IN_FLIGHT, Shape::Gauge, None, "Guarded calls that run now."),
    (RETRIES, Shape::Counter, None, "Attempts after the first."),
    (DEVICE_FALLBACKS, Shape::Counter, None, "Calls that moved to the CPU after a device fault, by device type and class of the fault."),
    (DEVICE_ROUTE, Shape::Gauge, None, "Where the next call of a tensor function starts: 0 device, 1 CPU."),
    (BLOCKED_POLLS, Shape::Counter, None, "Polls that lasted longer than the policy's blocked_after."),
    (INCIDENTS, Shape::Counter, None, "Incidents, by function, kind and severity."),
    (BREAKER_STATE, Shape::Gauge, None, "The function's breaker: 0 closed, 1 open, 2 half-open."),
    (ORPHANS, Shape::Gauge, None, "Bodies that have outlived their caller and still run."),
    (DROPPED, Shape::Counter, None, "What this library dropped because a bound was reached or a sink failed."),
    (RUNTIME_STALLED, Shape::Gauge, None, "1 while no worker of this runtime makes progress."),
    (WATCHDOG_LAG, Shape::Gauge, Some(Unit::Seconds), "How late the watchdog's thread was at its last look, or is for the next one."),
    (POLICY_GENERATION, Shape::Gauge, None, "The number of the policies in force: grows by one with every reload."),
    (POLICY_RELOAD_FAILED, Shape::Counter, None, "Policy files that were refused; the last good one stays in force."),
];

/// Tells the recorder what every metric means.
pub(crate) fn describe(recorder: &dyn Recorder) {
    for (name, shape, unit, text) in &ALL {
        let (name, text) = ((*name).into(), SharedString::const_str(text));
        match shape {
            Shape::Counter => recorder.describe_counter(name, *unit, text),
            Shape::Gauge => recorder.describe_gauge(name, *unit, text),
            Shape::Histogram => recorder.describe_histogram(name, *unit, text),
        }
    }
}
