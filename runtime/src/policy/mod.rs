//! What applies to a function now: limits, retry, breaker, escalation.
//!
//! Precedence, lowest first: built-in, `[defaults]`, the attribute, the most specific `[functions]` entry, the environment.
//! `file` reads TOML with positions, `merge` applies the precedence, `active` holds what is in force and swaps it, `watch` reloads,
//! `explain` prints who won. This module must not know of running calls.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where a limit comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything: the default of this library.
    BuiltIn,
    /// The attribute's argument.
    Attribute {
        /// The source file.
        file: &'static str,
        /// The function's line in it.
        line: u32,
    },
    /// A policy file.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line of the key.
        line: usize,
    },
    /// An environment variable.
    Environment(&'static str),
    /// The earlier deadline of a caller, who had it from there.
    Caller(Box<Origin>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("default"),
            Origin::Attribute { file, line } => write!(f, "attribute at {file}:{line}"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => f.write_str(name),
            Origin::Caller(origin) => write!(f, "caller ({origin})"),
        }
    }
}

/// A value and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T> {
    /// The value in force.
    pub value: T,
    /// Who set it.
    pub origin: Origin,
}

/// All that applies to one function.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// Whether the guard is on; off, the body runs as if the attribute were not there (fallback stays).
    pub enabled: Set<bool>,
    /// The limit of one attempt; `None` is spelled `"none"`.
    pub timeout: Set<Option<Duration>>,
    /// The longest silence between two beats.
    pub idle: Set<Option<Duration>>,
    /// The limit of the whole call, retries included.
    pub total: Set<Option<Duration>>,
    /// When to warn of a slow call.
    pub warn_at: Set<Option<WarnAt>>,
    /// How long the body may tidy up after the limit.
    pub grace: Set<Duration>,
    /// What the limit does.
    pub on_timeout: Set<OnTimeout>,
    /// What the caller of a late call gets.
    pub on_late: Set<OnLate>,
    /// Whether the caller's earlier deadline applies too.
    pub inherit: Set<bool>,
    /// One poll longer than this is reported while it lasts.
    pub blocked_after: Set<Duration>,
    /// Attempts after the first; `None`: the function is called once.
    pub retry: Set<Option<Retry>>,
    /// Refuses calls after repeated failures.
    pub breaker: Set<Option<Breaker>>,
    /// Spaces calls out.
    pub rate_limit: Set<Option<RateLimit>>,
    /// The most attempts that run at the same time.
    pub concurrency: Set<Option<u32>>,
    /// Who is told, and when; first to last.
    pub escalate: Set<Vec<Escalation>>,
    /// What `#[safe_mps_op]` does.
    pub device: Set<DevicePolicy>,
}

/// When to warn of a slow call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WarnAt {
    /// A fraction of the limit, between 0 and 1.
    Fraction(f64),
    /// A fixed time.
    Elapsed(Duration),
}

/// What the limit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// Drop the body and return the error.
    Cancel,
    /// Report, and let the body run.
    Warn,
}

/// What the caller of a late call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLate {
    /// The body's value.
    Value,
    /// A [`TimeoutError`](crate::TimeoutError) of kind `Late`.
    Error,
}

/// Further attempts and the pauses between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// All attempts, the first included.
    pub attempts: u32,
    /// The pause before the second attempt; doubles from then on.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
    /// Whether pauses are drawn between zero and their length.
    pub jitter: bool,
    /// Which failures are tried again.
    pub on: RetryOn,
}

/// Which failures are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// A limit or an idle time that passed.
    pub timeout: bool,
    /// The body's own `Err`.
    pub error: bool,
    /// A refusal by the breaker, the rate limit or the bulkhead.
    pub rejected: bool,
}

/// Refuses calls after repeated failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// This many failures within the window open it.
    pub failures: u32,
    /// The time over which failures count.
    pub window: Duration,
    /// How long calls are refused before one is let through to probe.
    pub open: Duration,
}

/// Spaces calls out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// This many calls …
    pub permits: u32,
    /// … in this time.
    pub per: Duration,
    /// How long a call may wait for its turn before it is refused.
    pub wait: Duration,
}

/// One step of an escalation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Applies from this many incidents on …
    pub after: u32,
    /// … within this time; without it since the start.
    pub within: Option<Duration>,
    /// How bad it is then.
    pub severity: Severity,
    /// The channels that are told.
    pub notify: Vec<Arc<str>>,
}

/// How bad an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
    /// Somebody must act now.
    Critical,
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

    /// The label in metrics, reports and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

/// What `#[safe_mps_op]` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePolicy {
    /// Whether a device fault is tried again on the CPU.
    pub fallback: bool,
    /// After this many faults of one class the function goes straight to the CPU.
    pub sticky_after: u32,
    /// When the device is tried again.
    pub retry_device_after: Duration,
}
pub(crate) fn of(_: &'static crate::Site) -> Arc<Policy> { todo!() }
