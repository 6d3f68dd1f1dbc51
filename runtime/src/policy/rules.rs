//! What one source says about a function. `None` is what it leaves out.

use std::time::Duration;

use super::origin::{Origin, Set};
use super::settings::{Breaker, DevicePolicy, Escalation, OnLate, OnTimeout, RateLimit, Retry, RetryOn, WarnAt};
use crate::site::Site;

/// What one source says: `[defaults]`, an attribute, or one `[functions]` entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) enabled: Said<bool>,
    pub(crate) fenced: Said<bool>,
    pub(crate) timeout: Said<Option<Duration>>,
    pub(crate) idle: Said<Option<Duration>>,
    pub(crate) total: Said<Option<Duration>>,
    pub(crate) warn_at: Said<Option<WarnAt>>,
    pub(crate) grace: Said<Duration>,
    pub(crate) on_timeout: Said<OnTimeout>,
    pub(crate) on_late: Said<OnLate>,
    pub(crate) inherit: Said<bool>,
    pub(crate) blocked_after: Said<Duration>,
    pub(crate) retry: Said<Option<RetryPart>>,
    pub(crate) breaker: Said<Option<BreakerPart>>,
    pub(crate) rate_limit: Said<Option<RatePart>>,
    pub(crate) concurrency: Said<Option<u32>>,
    pub(crate) escalate: Said<Vec<Escalation>>,
    pub(crate) device: Said<DevicePart>,
}

/// A value that may have been left out.
pub(crate) type Said<T> = Option<Set<T>>;

/// Part of a table: what it leaves out stays as it was.
pub(crate) trait Part {
    /// The whole table.
    type Whole;

    /// Changes what this part says.
    fn apply(&self, whole: &mut Self::Whole);
}

/// What a `retry` table says.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryPart {
    pub(crate) attempts: Option<u32>,
    pub(crate) initial: Option<Duration>,
    pub(crate) max: Option<Duration>,
    pub(crate) jitter: Option<bool>,
    pub(crate) on: Option<RetryOn>,
}

impl Part for RetryPart {
    type Whole = Retry;

    fn apply(&self, whole: &mut Retry) {
        put(&mut whole.attempts, self.attempts);
        put(&mut whole.initial, self.initial);
        put(&mut whole.max, self.max);
        put(&mut whole.jitter, self.jitter);
        put(&mut whole.on, self.on);
    }
}

/// What a `breaker` table says.
#[derive(Clone, Debug, Default)]
pub(crate) struct BreakerPart {
    pub(crate) failures: Option<u32>,
    pub(crate) window: Option<Duration>,
    pub(crate) open: Option<Duration>,
}

impl Part for BreakerPart {
    type Whole = Breaker;

    fn apply(&self, whole: &mut Breaker) {
        put(&mut whole.failures, self.failures);
        put(&mut whole.window, self.window);
        put(&mut whole.open, self.open);
    }
}

/// What a `rate_limit` table says.
#[derive(Clone, Debug, Default)]
pub(crate) struct RatePart {
    pub(crate) permits: Option<u32>,
    pub(crate) per: Option<Duration>,
    pub(crate) wait: Option<Duration>,
}

impl Part for RatePart {
    type Whole = RateLimit;

    fn apply(&self, whole: &mut RateLimit) {
        put(&mut whole.permits, self.permits);
        put(&mut whole.per, self.per);
        put(&mut whole.wait, self.wait);
    }
}

/// What a `device` table says.
#[derive(Clone, Debug, Default)]
pub(crate) struct DevicePart {
    pub(crate) fallback: Option<bool>,
    pub(crate) sticky_after: Option<u32>,
    pub(crate) retry_device_after: Option<Duration>,
    pub(crate) preflight: Option<bool>,
    pub(crate) cpu: Option<bool>,
}

impl Part for DevicePart {
    type Whole = DevicePolicy;

    fn apply(&self, whole: &mut DevicePolicy) {
        put(&mut whole.fallback, self.fallback);
        put(&mut whole.sticky_after, self.sticky_after);
        put(&mut whole.retry_device_after, self.retry_device_after);
        put(&mut whole.preflight, self.preflight);
        put(&mut whole.cpu, self.cpu);
    }
}

fn put<T>(place: &mut T, said: Option<T>) {
    if let Some(value) = said {
        *place = value;
    }
}

impl Rules {
    /// What the attribute of `site` says.
    ///
    /// An idle limit without a limit is for loops that never end: the limit is then `none`, rather than the default that would end them.
    pub(crate) fn of_attribute(site: &'static Site) -> Self {
        let settings = site.settings();
        let origin = Origin::Attribute { file: site.file(), line: site.line() };
        let endless = settings.idle.is_some() && settings.limit.is_none();
        let timeout = if endless { Some(None) } else { settings.limit.map(Some) };
        Self {
            timeout: said(timeout, &origin),
            idle: said(settings.idle.map(Some), &origin),
            grace: said(settings.grace, &origin),
            retry: said(settings.retry.map(|retries| Some(RetryPart::of_retries(retries))), &origin),
            ..Self::default()
        }
    }
}

impl RetryPart {
    fn of_retries(retries: Option<u32>) -> Self {
        Self { attempts: retries.map(|retries| retries.saturating_add(1)), ..Self::default() }
    }
}

fn said<T>(value: Option<T>, origin: &Origin) -> Said<T> {
    value.map(|value| Set { value, origin: origin.clone() })
}
