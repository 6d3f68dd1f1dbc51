//! Precedence, lowest first: built-in, `[defaults]`, the attribute, the most specific `[functions]` entry, the environment.

use std::time::Duration;

use super::environment::{DISABLE, Disable, Environment, Scale};
use super::origin::{Origin, Set};
use super::rules::{Part, Rules, Said};
use super::set::Entry;
use super::settings::{Breaker, DevicePolicy, Policy, RateLimit, Retry, WarnAt};
use crate::site::Site;

/// Those who say something about one function, without the environment.
#[derive(Clone, Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) defaults: &'a Rules,
    pub(crate) attribute: Rules,
    pub(crate) entry: Option<&'a Entry>,
}

impl Sources<'_> {
    /// Lowest precedence first.
    pub(crate) fn ascending(&self) -> impl DoubleEndedIterator<Item = &Rules> {
        [Some(self.defaults), Some(&self.attribute), self.entry.map(|entry| &entry.rules)].into_iter().flatten()
    }

    /// What they agree on for `site`, before the environment has its say.
    pub(crate) fn merge(&self, site: &'static Site) -> Policy {
        let base = Policy::built_in();
        Policy {
            enabled: self.last(base.enabled, |rules| &rules.enabled),
            fenced: self.last(base.fenced, |rules| &rules.fenced),
            timeout: self.last(base.timeout, |rules| &rules.timeout),
            idle: self.last(base.idle, |rules| &rules.idle),
            total: self.last(base.total, |rules| &rules.total),
            warn_at: self.last(base.warn_at, |rules| &rules.warn_at),
            grace: self.last(base.grace, |rules| &rules.grace),
            on_timeout: self.last(base.on_timeout, |rules| &rules.on_timeout),
            on_late: self.last(base.on_late, |rules| &rules.on_late),
            inherit: self.last(base.inherit, |rules| &rules.inherit),
            blocked_after: self.last(base.blocked_after, |rules| &rules.blocked_after),
            retry: self.retry(site),
            breaker: self.table(base.breaker, Breaker::built_in(), |rules| &rules.breaker),
            rate_limit: self.table(base.rate_limit, RateLimit::built_in(), |rules| &rules.rate_limit),
            concurrency: self.last(base.concurrency, |rules| &rules.concurrency),
            escalate: self.last(base.escalate, |rules| &rules.escalate),
            device: self.device(base.device),
        }
    }

    fn last<T: Clone>(&self, base: Set<T>, said: impl Fn(&Rules) -> &Said<T>) -> Set<T> {
        self.ascending().rev().find_map(|rules| said(rules).clone()).unwrap_or(base)
    }

    /// A function is called again only where its attribute allows it: a second call may do harm that only its author can rule out.
    fn retry(&self, site: &'static Site) -> Set<Option<Retry>> {
        match site.settings().retry {
            None => Set::built_in(None),
            Some(_) => self.table(Set::built_in(Some(Retry::built_in())), Retry::built_in(), |rules| &rules.retry),
        }
    }

    /// Key by key: what a table leaves out stays as it was.
    fn table<P: Part>(
        &self,
        base: Set<Option<P::Whole>>,
        whole: P::Whole,
        said: impl Fn(&Rules) -> &Said<Option<P>>,
    ) -> Set<Option<P::Whole>>
    where
        P::Whole: Clone,
    {
        self.ascending().filter_map(|rules| said(rules).as_ref()).fold(base, |below, set| {
            let value = set.value.as_ref().map(|part| applied(part, below.value.unwrap_or_else(|| whole.clone())));
            Set { value, origin: set.origin.clone() }
        })
    }

    fn device(&self, base: Set<DevicePolicy>) -> Set<DevicePolicy> {
        self.ascending()
            .filter_map(|rules| rules.device.as_ref())
            .fold(base, |below, set| Set { value: applied(&set.value, below.value), origin: set.origin.clone() })
    }
}

fn applied<P: Part>(part: &P, mut whole: P::Whole) -> P::Whole {
    part.apply(&mut whole);
    whole
}

/// Gives the environment its say about `site`. `entry` is the one that applies to it.
pub(crate) fn apply_environment(policy: &mut Policy, environment: &Environment, site: &'static Site, entry: Option<&Entry>) {
    if environment.disable.as_ref().is_some_and(|disable| switches_off(disable, site, entry)) {
        policy.enabled = Set { value: false, origin: Origin::Environment(DISABLE) };
    }
    if environment.disable == Some(Disable::All) {
        policy.device.value.fallback = false;
        policy.device.value.cpu = false;
        policy.device.origin = Origin::Environment(DISABLE);
    }
    if let Some(scale) = &environment.scale {
        scale_limits(policy, scale);
    }
}

fn switches_off(disable: &Disable, site: &'static Site, entry: Option<&Entry>) -> bool {
    match disable {
        Disable::All => true,
        Disable::Guards => !entry.is_some_and(Entry::enables_by_name),
        Disable::Listed(patterns) => patterns.iter().any(|pattern| pattern.matches(site.name())),
    }
}

fn scale_limits(policy: &mut Policy, scale: &Scale) {
    for limit in [&mut policy.timeout, &mut policy.idle, &mut policy.total] {
        if let Some(duration) = limit.value {
            limit.value = Some(scale.apply(duration));
            limit.origin = scale.origin(&limit.origin);
        }
    }
    if policy.grace.value > Duration::ZERO {
        policy.grace.value = scale.apply(policy.grace.value);
        policy.grace.origin = scale.origin(&policy.grace.origin);
    }
    // A fixed time must stay below its limit; a fraction follows by itself.
    if let Some(WarnAt::Elapsed(elapsed)) = policy.warn_at.value {
        policy.warn_at.value = Some(WarnAt::Elapsed(scale.apply(elapsed)));
        policy.warn_at.origin = scale.origin(&policy.warn_at.origin);
    }
}

impl Scale {
    /// At least a nanosecond, at most what a `Duration` holds.
    fn apply(&self, duration: Duration) -> Duration {
        Duration::try_from_secs_f64(duration.as_secs_f64() * self.factor).unwrap_or(Duration::MAX).max(Duration::from_nanos(1))
    }

    fn origin(&self, of: &Origin) -> Origin {
        Origin::Scaled { of: Box::new(of.clone()), by: self.text.clone() }
    }
}
