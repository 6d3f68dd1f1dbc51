//! Settings as text, in the words of the policy file.

use std::time::Duration;

use humantime::format_duration;

use crate::policy::rules::{BreakerPart, DevicePart, RatePart, RetryPart};
use crate::policy::settings::{Breaker, DevicePolicy, Escalation, OnLate, OnTimeout, RateLimit, Retry, RetryOn, WarnAt};
use crate::policy::watchdog::OnRuntimeStall;

/// A value as a policy file would have it.
pub(super) trait Show {
    fn show(&self) -> String;
}

impl Show for bool {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for u32 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for Duration {
    fn show(&self) -> String {
        match *self {
            Duration::ZERO | Duration::MAX => "none".to_owned(),
            duration => format_duration(duration).to_string(),
        }
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), T::show)
    }
}

impl Show for WarnAt {
    fn show(&self) -> String {
        match self {
            WarnAt::Fraction(fraction) => fraction.to_string(),
            WarnAt::Elapsed(elapsed) => elapsed.show(),
        }
    }
}

impl Show for OnTimeout {
    fn show(&self) -> String {
        match self {
            OnTimeout::Cancel => "cancel".to_owned(),
            OnTimeout::Warn => "warn".to_owned(),
        }
    }
}

impl Show for OnLate {
    fn show(&self) -> String {
        match self {
            OnLate::Value => "value".to_owned(),
            OnLate::Error => "error".to_owned(),
        }
    }
}

impl Show for OnRuntimeStall {
    fn show(&self) -> String {
        match self {
            OnRuntimeStall::Report => "report".to_owned(),
            OnRuntimeStall::Abort => "abort".to_owned(),
        }
    }
}

impl Show for RetryOn {
    fn show(&self) -> String {
        let kinds = [("timeout", self.timeout), ("error", self.error), ("rejected", self.rejected)];
        let named: Vec<&str> = kinds.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
        format!("[{}]", named.join(", "))
    }
}

impl Show for RetryPart {
    fn show(&self) -> String {
        table([
            ("attempts", said(&self.attempts)),
            ("initial", said(&self.initial)),
            ("max", said(&self.max)),
            ("jitter", said(&self.jitter)),
            ("on", said(&self.on)),
        ])
    }
}

impl Show for Retry {
    fn show(&self) -> String {
        let Self { attempts, initial, max, jitter, on } = *self;
        RetryPart { attempts: Some(attempts), initial: Some(initial), max: Some(max), jitter: Some(jitter), on: Some(on) }.show()
    }
}

impl Show for BreakerPart {
    fn show(&self) -> String {
        table([("failures", said(&self.failures)), ("window", said(&self.window)), ("open", said(&self.open))])
    }
}

impl Show for Breaker {
    fn show(&self) -> String {
        BreakerPart { failures: Some(self.failures), window: Some(self.window), open: Some(self.open) }.show()
    }
}

impl Show for RatePart {
    fn show(&self) -> String {
        table([("permits", said(&self.permits)), ("per", said(&self.per)), ("wait", said(&self.wait))])
    }
}

impl Show for RateLimit {
    fn show(&self) -> String {
        RatePart { permits: Some(self.permits), per: Some(self.per), wait: Some(self.wait) }.show()
    }
}

impl Show for DevicePart {
    fn show(&self) -> String {
        table([
            ("fallback", said(&self.fallback)),
            ("sticky_after", said(&self.sticky_after)),
            ("retry_device_after", said(&self.retry_device_after)),
            ("preflight", said(&self.preflight)),
            ("cpu", said(&self.cpu)),
        ])
    }
}

impl Show for DevicePolicy {
    fn show(&self) -> String {
        let Self { fallback, sticky_after, retry_device_after, preflight, cpu } = *self;
        DevicePart {
            fallback: Some(fallback),
            sticky_after: Some(sticky_after),
            retry_device_after: Some(retry_device_after),
            preflight: Some(preflight),
            cpu: Some(cpu),
        }
        .show()
    }
}

impl Show for Vec<Escalation> {
    fn show(&self) -> String {
        let steps: Vec<String> = self.iter().map(Escalation::show).collect();
        format!("[{}]", steps.join(", "))
    }
}

impl Show for Escalation {
    fn show(&self) -> String {
        let notify = (!self.notify.is_empty()).then(|| format!("[{}]", self.notify.join(", ")));
        table([
            ("after", Some(self.after.show())),
            ("within", said(&self.within)),
            ("severity", Some(self.severity.as_str().to_owned())),
            ("notify", notify),
        ])
    }
}

fn said<T: Show>(value: &Option<T>) -> Option<String> {
    value.as_ref().map(T::show)
}

fn table<const N: usize>(fields: [(&str, Option<String>); N]) -> String {
    let said: Vec<String> = fields.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?))).collect();
    if said.is_empty() { "{ }".to_owned() } else { format!("{{ {} }}", said.join(", ")) }
}
