//! What a call needs of its policy, worked out once.
//!
//! A plan lives as long as the process: one for each *distinct* policy that a function was ever called under, so that a call can hold it
//! by reference. Reloads that change nothing for a function make no new one, though its lines in the file have moved: those are asked for where
//! they are told ([`Policy::origin`]).

use std::iter::successors;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::clock::Tick;
use crate::coarse;
use crate::policy::{self, OnTimeout, Policy, WarnAt};
use crate::shelf::Shelf;
use crate::site::{Site, sites};

static PLANS: Shelf<Plan> = Shelf::new();
/// See [`shortest`].
static SHORTEST: AtomicU64 = AtomicU64::new(u64::MAX);

/// A poll that begins now gives nothing to do before that much time has passed, whatever its call's plan.
pub(crate) fn shortest() -> Duration {
    Duration::from_nanos(SHORTEST.load(Relaxed))
}

/// See the module. Times in nanoseconds; `u64::MAX`: none.
#[derive(Debug)]
pub(crate) struct Plan {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) site: &'static Site,
    pub(crate) policy: Arc<Policy>,
    pub(crate) limit: u64,
    pub(crate) warn: u64,
    /// The earlier of the two.
    pub(crate) soonest: u64,
    /// Nothing but a limit and a warning: no layer, no grace, no idle limit.
    pub(crate) plain: bool,
    /// The one before it of the same function.
    before: Option<&'static Self>,
}

impl Plan {
    /// What applies to `site` now, with the edition of the policies that say so; `None` where no more plans fit.
    pub(crate) fn of(site: &'static Site) -> Option<(&'static Self, u64)> {
        let (policy, edition) = policy::of_edition(site);
        Some((Self::find(site, &policy).or_else(|| Self::make(site, policy))?, edition))
    }

    /// The plan of a number.
    #[inline]
    pub(crate) fn get(number: u32) -> Option<&'static Self> {
        PLANS.get(number.checked_sub(1)?)
    }

    fn find(site: &'static Site, policy: &Policy) -> Option<&'static Self> {
        let last = Self::get(last(site)?.load(Acquire));
        successors(last, |plan| plan.before).find(|plan| std::ptr::eq(plan.site, site) && plan.policy.alike(policy))
    }

    /// Once for each function and policy: who comes at the same time waits, and finds it.
    #[cold]
    fn make(site: &'static Site, policy: Arc<Policy>) -> Option<&'static Self> {
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        Self::find(site, &policy).or_else(|| {
            let last = last(site)?;
            let before = Self::get(last.load(Acquire));
            let plan = PLANS.add(|place| Self::new(place + 1, site, policy, before))?;
            last.store(plan.number, Release);
            Some(plan)
        })
    }

    fn new(number: u32, site: &'static Site, policy: Arc<Policy>, before: Option<&'static Self>) -> Self {
        let limit = policy.timeout.value.map_or(u64::MAX, nanos);
        let warn = match (policy.warn_at.value, policy.timeout.value) {
            (Some(WarnAt::Elapsed(elapsed)), _) => nanos(elapsed),
            (Some(WarnAt::Fraction(fraction)), Some(limit)) => nanos(limit.mul_f64(fraction.clamp(0.0, 1.0))),
            _ => u64::MAX,
        };
        let shortest = limit.min(warn).min(nanos(policy.blocked_after.value));
        if shortest < SHORTEST.fetch_min(shortest, Relaxed) {
            coarse::expect(Tick::now().after(Duration::from_nanos(shortest)));
        }
        Self { number, site, plain: plain(&policy), policy, limit, warn, soonest: limit.min(warn), before }
    }
}

/// The number of the last plan of `site`; functions that are in no list share one.
fn last(site: &'static Site) -> Option<&'static AtomicU32> {
    static LAST: OnceLock<Box<[AtomicU32]>> = OnceLock::new();
    let last = LAST.get_or_init(|| (0..=sites().len()).map(|_| AtomicU32::new(0)).collect());
    last.get(site.id()).or(last.last())
}

/// Every setting is named: a new one must say whether a call without layers knows it.
fn plain(policy: &Policy) -> bool {
    #[rustfmt::skip]
    let Policy {
        enabled: _, timeout: _, warn_at: _, on_late: _, blocked_after: _, escalate: _, device: _,
        fenced, retry, breaker, rate_limit, concurrency, idle, total, grace, on_timeout, inherit,
    } = policy;
    let layers =
        fenced.value || retry.value.is_some() || breaker.value.is_some() || rate_limit.value.is_some() || concurrency.value.is_some();
    let limits = idle.value.is_some() || total.value.is_some() || on_timeout.value == OnTimeout::Warn;
    !layers && !limits && grace.value.is_zero() && inherit.value
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::{Origin, Set};

    static SITE: Site = Site::timeout_async("flight::plan::tests::site");
    static OTHER: Site = Site::timeout_async("flight::plan::tests::other");

    /// A policy as a file says it.
    fn written(timeout: Duration, path: &str, line: usize) -> Arc<Policy> {
        let origin = Origin::File { path: Path::new(path).into(), line };
        Arc::new(Policy { timeout: Set { value: Some(timeout), origin }, ..Policy::built_in() })
    }

    fn number(site: &'static Site, policy: Arc<Policy>) -> u32 {
        Plan::find(site, &policy).or_else(|| Plan::make(site, policy)).unwrap().number
    }

    #[test]
    fn a_reload_that_only_moves_lines_makes_no_plan() {
        let second = Duration::from_secs(1);
        let first = number(&SITE, written(second, "backstop.toml", 1));
        assert!((2..1000).all(|line| number(&SITE, written(second, "backstop.toml", line)) == first));
        let others = [
            number(&SITE, written(2 * second, "backstop.toml", 1)),
            number(&SITE, written(second, "other.toml", 1)),
            number(&OTHER, written(second, "backstop.toml", 1)),
        ];
        assert!(others.iter().all(|other| *other != first));
        assert_eq!(number(&SITE, written(second, "backstop.toml", 7)), first, "also after others");
    }
}
