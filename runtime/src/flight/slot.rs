//! What one thread knows of one function: its plan, its counters, and how long its calls take.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::plan::Plan;
use crate::clock::Tick;
use crate::coarse;
use crate::metrics::tally::{self, Shard};
use crate::policy;
use crate::site::Site;

/// Nobody keeps the time, or a call needs more than that.
const NEVER: u64 = u64::MAX;
const UNKNOWN: u64 = u64::MAX;

/// See the module.
pub(crate) struct Slot {
    pub(crate) site: &'static Site,
    /// The tick of the coarse time in which a call may go by what is known here: its first call was looked at closely.
    tick: AtomicU64,
    /// Of the plan, in nanoseconds.
    limit: AtomicU64,
    plan: AtomicU32,
    /// The edition of the policies that the plan is from.
    edition: AtomicU64,
    /// How long the last measured call took, in nanoseconds.
    sample: AtomicU64,
    /// The bucket that it belongs to.
    bucket: AtomicU32,
    pub(crate) calls: &'static Shard,
}

impl Slot {
    pub(super) fn new(site: &'static Site) -> Self {
        Self {
            site,
            tick: AtomicU64::new(NEVER),
            limit: AtomicU64::new(u64::MAX),
            plan: AtomicU32::new(0),
            edition: AtomicU64::new(u64::MAX),
            sample: AtomicU64::new(UNKNOWN),
            bucket: AtomicU32::new(0),
            calls: tally::shard(site),
        }
    }

    /// Whether a call that begins at this tick may go by what is known.
    #[inline]
    pub(crate) fn knows(&self, tick: u64) -> bool {
        self.tick.load(Relaxed) == tick
    }

    #[inline]
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    #[inline]
    pub(crate) fn plan(&self) -> u32 {
        self.plan.load(Relaxed)
    }

    /// The plan in force; `None` where no more plans fit.
    pub(crate) fn look_up(&self, site: &'static Site) -> Option<&'static Plan> {
        if self.edition.load(Relaxed) == policy::edition()
            && let Some(plan) = Plan::get(self.plan())
        {
            return Some(plan);
        }
        let (plan, edition) = Plan::of(site)?;
        self.tick.store(NEVER, Relaxed);
        self.limit.store(plan.limit, Relaxed);
        self.plan.store(plan.number, Relaxed);
        self.edition.store(edition, Relaxed);
        Some(plan)
    }

    /// A call is looked at closely; those that follow in the same tick may go by it, where `plain`.
    pub(crate) fn trust(&self, tick: u64, plain: bool) {
        self.tick.store(if plain && tick != 0 && self.limit() > coarse::FAR { tick } else { NEVER }, Relaxed);
    }

    /// How long the last measured call took, in nanoseconds.
    #[inline]
    pub(crate) fn sample(&self) -> Option<u64> {
        let sample = self.sample.load(Relaxed);
        (sample != UNKNOWN).then_some(sample)
    }

    pub(crate) fn measured(&self, nanos: u64) {
        let nanos = nanos.min(UNKNOWN - 1);
        self.bucket.store(tally::bucket(nanos), Relaxed);
        self.sample.store(nanos, Relaxed);
    }

    /// A call has ended well at this tick that took as long as the last measured one; `false` where none was.
    #[inline]
    pub(crate) fn count(&self, tick: u64) -> bool {
        let Some(nanos) = self.sample() else { return false };
        self.calls.finish_alone(Tick::from_nanos(tick), nanos, self.bucket.load(Relaxed));
        true
    }
}
