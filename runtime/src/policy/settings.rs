//! A [`Policy`] and the settings in it: data without behaviour.

use std::sync::Arc;
use std::time::Duration;

use super::origin::Set;

/// All that applies to one function.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// Whether the guard of `#[timeout_async]` is on; off, the body runs as if the attribute were not there (fallbacks stay).
    pub enabled: Set<bool>,
    /// Whether every call is refused at once.
    pub fenced: Set<bool>,
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
    /// One poll longer than this is reported while it lasts; [`Duration::MAX`] for never.
    pub blocked_after: Set<Duration>,
    /// Attempts after the first; `None`: the function is called once.
    pub retry: Set<Option<Retry>>,
    /// Refuses calls after repeated failures.
    pub breaker: Set<Option<Breaker>>,
    /// Spaces calls out.
    pub rate_limit: Set<Option<RateLimit>>,
    /// The most attempts that run at the same time.
    pub concurrency: Set<Option<u32>>,
    /// How bad incidents are, and who is told; the last step that is reached decides. Without one, the kind of incident says how bad it is,
    /// and nobody is told.
    pub escalate: Set<Vec<Escalation>>,
    /// What `#[safe_mps_op]` does.
    pub device: Set<DevicePolicy>,
}

impl Policy {
    /// What applies where nobody says anything: 30 seconds, a warning at 80 % of them, one attempt.
    pub(crate) fn built_in() -> Self {
        Self {
            enabled: Set::built_in(true),
            fenced: Set::built_in(false),
            timeout: Set::built_in(Some(Duration::from_secs(30))),
            idle: Set::built_in(None),
            total: Set::built_in(None),
            warn_at: Set::built_in(Some(WarnAt::Fraction(0.8))),
            grace: Set::built_in(Duration::ZERO),
            on_timeout: Set::built_in(OnTimeout::Cancel),
            on_late: Set::built_in(OnLate::Value),
            inherit: Set::built_in(true),
            blocked_after: Set::built_in(Duration::from_secs(1)),
            retry: Set::built_in(None),
            breaker: Set::built_in(None),
            rate_limit: Set::built_in(None),
            concurrency: Set::built_in(None),
            escalate: Set::built_in(Vec::new()),
            device: Set::built_in(DevicePolicy::built_in()),
        }
    }
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

impl Retry {
    /// What a function with a bare `retry` gets: three attempts.
    pub(crate) const fn built_in() -> Self {
        Self {
            attempts: 3,
            initial: Duration::from_millis(100),
            max: Duration::from_secs(5),
            jitter: true,
            on: RetryOn { timeout: true, error: true, rejected: false },
        }
    }

    /// The longest that all pauses can take together.
    pub(crate) fn pauses(&self) -> Duration {
        let mut sum = Duration::ZERO;
        let mut pause = self.initial.min(self.max);
        for done in 1..self.attempts {
            if pause == self.max || pause.is_zero() {
                return sum.saturating_add(pause.saturating_mul(self.attempts - done));
            }
            sum = sum.saturating_add(pause);
            pause = pause.saturating_mul(2).min(self.max);
        }
        sum
    }
}

/// Which failures are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// A limit or an idle time that passed.
    pub timeout: bool,
    /// The body's own `Err`.
    pub error: bool,
    /// A refusal by the breaker or the rate limit.
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

impl Breaker {
    /// What a `breaker` table leaves out.
    pub(crate) const fn built_in() -> Self {
        Self { failures: 5, window: Duration::from_secs(60), open: Duration::from_secs(30) }
    }
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

impl RateLimit {
    /// What a `rate_limit` table leaves out; it must say `permits`, which are therefore none here.
    pub(crate) const fn built_in() -> Self {
        Self { permits: 0, per: Duration::from_secs(1), wait: Duration::ZERO }
    }
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
    /// Whether what would end the process on MPS is looked for before the body runs.
    pub preflight: bool,
    /// Whether the function always runs on the CPU.
    pub cpu: bool,
}

impl DevicePolicy {
    /// Fall back; after three faults of one class straight to the CPU, for a minute.
    pub(crate) const fn built_in() -> Self {
        Self { fallback: true, sticky_after: 3, retry_device_after: Duration::from_secs(60), preflight: false, cpu: false }
    }

    /// Whether a call is tried on the device without further questions, and again on the CPU.
    pub(crate) const fn is_plain(&self) -> bool {
        self.fallback && !self.preflight && !self.cpu
    }
}
