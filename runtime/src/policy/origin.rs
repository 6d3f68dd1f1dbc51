//! Who set a value: what errors, reports and `explain` say about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::active;
use super::settings::Policy;
use crate::site::Site;

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
    /// A call of this function.
    Call(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// Set there, then multiplied by `BACKSTOP_TIMEOUT_SCALE`.
    Scaled {
        /// Who set it.
        of: Box<Origin>,
        /// The factor, as it was written.
        by: Arc<str>,
    },
    /// The earlier deadline of a caller, who had it from there.
    Caller(Box<Origin>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("default"),
            Origin::Attribute { file, line } => write!(f, "attribute at {file}:{line}"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Call(function) => write!(f, "a call of {function}"),
            Origin::Environment(name) => f.write_str(name),
            Origin::Scaled { of, by } => write!(f, "{of}, times {by} by BACKSTOP_TIMEOUT_SCALE"),
            Origin::Caller(origin) => write!(f, "caller ({origin})"),
        }
    }
}

impl Origin {
    /// The same, or another line of the same file.
    fn alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Origin::File { path, .. }, Origin::File { path: other, .. }) => path == other,
            (Origin::Scaled { of, by }, Origin::Scaled { of: other, by: other_by }) => by == other_by && of.alike(other),
            (Origin::Caller(of), Origin::Caller(other)) => of.alike(other),
            _ => self == other,
        }
    }

    fn is_in_a_file(&self) -> bool {
        match self {
            Origin::File { .. } => true,
            Origin::Scaled { of, .. } | Origin::Caller(of) => of.is_in_a_file(),
            _ => false,
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

impl<T> Set<T> {
    /// A value that nobody but this library set.
    pub(crate) const fn built_in(value: T) -> Self {
        Self { value, origin: Origin::BuiltIn }
    }
}

impl<T: PartialEq> Set<T> {
    /// The same value, set by the same, on another line at most.
    fn alike(&self, other: &Self) -> bool {
        self.value == other.value && self.origin.alike(&other.origin)
    }
}

impl Policy {
    /// Whether both say the same; a file in which something was written above it says it on other lines.
    pub(crate) fn alike(&self, other: &Self) -> bool {
        #[rustfmt::skip]
        let Self {
            enabled, fenced, timeout, idle, total, warn_at, grace, on_timeout, on_late, inherit, blocked_after,
            retry, breaker, rate_limit, concurrency, escalate, device,
        } = self;
        enabled.alike(&other.enabled)
            && fenced.alike(&other.fenced)
            && timeout.alike(&other.timeout)
            && idle.alike(&other.idle)
            && total.alike(&other.total)
            && warn_at.alike(&other.warn_at)
            && grace.alike(&other.grace)
            && on_timeout.alike(&other.on_timeout)
            && on_late.alike(&other.on_late)
            && inherit.alike(&other.inherit)
            && blocked_after.alike(&other.blocked_after)
            && retry.alike(&other.retry)
            && breaker.alike(&other.breaker)
            && rate_limit.alike(&other.rate_limit)
            && concurrency.alike(&other.concurrency)
            && escalate.alike(&other.escalate)
            && device.alike(&other.device)
    }

    /// Who set this, on which line it stands now: a plan is kept over reloads that only move what they leave as it is.
    pub(crate) fn origin<T: PartialEq>(&self, site: &'static Site, setting: impl Fn(&Self) -> &Set<T>) -> Origin {
        let known = setting(self);
        if known.origin.is_in_a_file() {
            let in_force = active::of(site);
            let now = setting(&in_force);
            if now.alike(known) {
                return now.origin.clone();
            }
        }
        known.origin.clone()
    }
}
