//! How a guarded call ended, and the error that says so.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::incident::IncidentId;
use crate::policy::Origin;

/// How a guarded call ended; the label `outcome` of `backstop_calls_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The body returned a value that is no `Err`.
    Ok,
    /// The body returned its own `Err` before any limit.
    Error,
    /// The limit of the attempt or of the whole call passed.
    Timeout,
    /// The longest allowed silence passed.
    Idle,
    /// The body came back after its limit, because it had blocked its thread.
    Late,
    /// The caller dropped the future.
    Cancelled,
    /// The body panicked; the panic goes on to the caller.
    Panicked,
    /// A fence, a breaker, a rate limit or a full bulkhead refused the call.
    Rejected,
}

impl Outcome {
    /// Every outcome, in the order of their counters.
    pub const ALL: [Outcome; 8] = [
        Outcome::Ok,
        Outcome::Error,
        Outcome::Timeout,
        Outcome::Idle,
        Outcome::Late,
        Outcome::Cancelled,
        Outcome::Panicked,
        Outcome::Rejected,
    ];

    /// The label in metrics and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error => "error",
            Outcome::Timeout => "timeout",
            Outcome::Idle => "idle",
            Outcome::Late => "late",
            Outcome::Cancelled => "cancelled",
            Outcome::Panicked => "panicked",
            Outcome::Rejected => "rejected",
        }
    }
}

/// Which rule ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The limit of one attempt.
    Limit,
    /// The longest silence between two beats.
    Idle,
    /// The limit of the whole call, retries included.
    Total,
    /// The body returned after its limit, because it had blocked its thread, and the policy says `on_late = "error"`.
    Late,
    /// The call was refused before the body ran.
    Rejected(Rejection),
    /// No time passed: fault injection made the call fail. The source is the injected error.
    Injected,
}

/// Which layer refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// The function is [fenced](crate::fence).
    Fenced,
    /// The breaker is open.
    BreakerOpen,
    /// The rate limit had no permit within the policy's wait.
    RateLimited,
}

/// A guarded call did not finish in time, or was not let in.
///
/// It converts into [`std::io::Error`], `Box<dyn Error + Send + Sync>` and, being an error, `anyhow::Error`; an error type of your own
/// needs `impl From<TimeoutError>`.
#[derive(Clone)]
pub struct TimeoutError(Box<Facts>);

/// What a [`TimeoutError`] says.
#[derive(Clone)]
pub(crate) struct Facts {
    /// The function whose limit it was.
    pub(crate) function: &'static str,
    pub(crate) kind: TimeoutKind,
    /// Zero for a rejection.
    pub(crate) limit: Duration,
    pub(crate) elapsed: Duration,
    pub(crate) attempt: u32,
    pub(crate) attempts: u32,
    pub(crate) set_by: Origin,
    pub(crate) incident: Option<IncidentId>,
    /// The error that the body returned at or after the deadline.
    pub(crate) source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TimeoutError {
    pub(crate) fn new(facts: Facts) -> Self {
        Self(Box::new(facts))
    }

    pub(crate) fn into_facts(self) -> Facts {
        *self.0
    }

    /// With the error that the body returned at or after the deadline.
    pub(crate) fn caused_by(mut self, source: Option<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = source.map(Arc::from);
        self
    }

    /// For a body that returned a value after its limit.
    pub(crate) fn late(mut self) -> Self {
        self.0.kind = TimeoutKind::Late;
        self
    }

    /// The function whose limit it was: the called one, or the caller whose earlier deadline applied.
    #[must_use]
    pub fn function(&self) -> &'static str {
        self.0.function
    }

    /// Which rule ended the call.
    #[must_use]
    pub fn kind(&self) -> TimeoutKind {
        self.0.kind
    }

    /// The limit that passed; zero for a rejection.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.0.limit
    }

    /// How long the call had run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// The number of the attempt that failed, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// How many attempts the policy allows.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Who set the limit.
    #[must_use]
    pub fn set_by(&self) -> &Origin {
        &self.0.set_by
    }

    /// The incident that reports it; `None` where nobody reports it. A report that was held back, because not the code was to blame, has a number
    /// too.
    #[must_use]
    pub fn incident(&self) -> Option<IncidentId> {
        self.0.incident
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { function, kind, limit, elapsed, attempt, attempts, set_by, incident, source } = &*self.0;
        let limit = humantime::format_duration(*limit);
        let elapsed = humantime::format_duration(Duration::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)));
        match kind {
            TimeoutKind::Limit => write!(f, "`{function}` did not finish within {limit}")?,
            TimeoutKind::Idle => write!(f, "`{function}` gave no sign of life for {limit}")?,
            TimeoutKind::Total => write!(f, "`{function}` did not finish within {limit} over all attempts")?,
            TimeoutKind::Late => write!(f, "`{function}` returned after its limit of {limit}: it had blocked its thread")?,
            TimeoutKind::Injected => write!(f, "`{function}` failed by an injected fault")?,
            TimeoutKind::Rejected(by) => {
                let again = if source.is_some() { " again" } else { "" };
                let because = match by {
                    Rejection::Fenced => "it is fenced",
                    Rejection::BreakerOpen => "its breaker is open",
                    Rejection::RateLimited => "its rate limit is used up",
                };
                write!(f, "`{function}` was not called{again}: {because}")?;
            }
        }
        if *kind == TimeoutKind::Injected {
            return write!(f, " (attempt {attempt} of {attempts})");
        }
        write!(f, " (after {elapsed}, attempt {attempt} of {attempts}, limit set by {set_by}")?;
        if let Some(incident) = incident {
            write!(f, ", incident {incident}")?;
        }
        write!(f, ")")
    }
}

impl fmt::Debug for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { function, kind, limit, elapsed, attempt, attempts, set_by, incident, source } = &*self.0;
        let mut said = f.debug_struct("TimeoutError");
        said.field("function", function).field("kind", kind).field("limit", limit).field("elapsed", elapsed);
        said.field("attempt", attempt).field("attempts", attempts).field("set_by", set_by);
        said.field("incident", incident).field("source", source).finish()
    }
}

impl Error for TimeoutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

impl From<TimeoutError> for io::Error {
    fn from(error: TimeoutError) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}
