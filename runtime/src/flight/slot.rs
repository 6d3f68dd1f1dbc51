//! What one thread knows of one function: its plan, its counters, and how long its calls take.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::bits::COARSE;
use super::frame::{AtomicKind, Kind};
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
    /// The tick of the coarse time in which a call may go by what is known here: its first call was looked at closely.
    tick: AtomicU64,
    /// When a call is due that begins at this tick, in nanoseconds.
    due: AtomicU64,
    /// Of a call that goes by what is known.
    kind: AtomicKind,
    /// [`Plan::soonest`].
    soonest: AtomicU64,
    /// Whether the plan asks for nothing out of the ordinary where a device is concerned.
    plain_device: AtomicBool,
    /// The edition of the policies that the plan is from.
    edition: AtomicU64,
    /// How long the last measured call took, in nanoseconds.
    sample: AtomicU64,
    /// The bucket that it belongs to; there is no such bucket where none was measured.
    bucket: AtomicU32,
    pub(crate) calls: &'static Shard,
}

impl Slot {
    pub(super) fn new(site: &'static Site) -> Self {
        Self {
            tick: AtomicU64::new(NEVER),
            due: AtomicU64::new(u64::MAX),
            kind: AtomicKind::default(),
            soonest: AtomicU64::new(u64::MAX),
            plain_device: AtomicBool::new(false),
            edition: AtomicU64::new(u64::MAX),
            sample: AtomicU64::new(UNKNOWN),
            bucket: AtomicU32::new(u32::MAX),
            calls: tally::shard(site),
        }
    }

    /// Whether a call that begins at this tick may go by what is known.
    #[inline]
    pub(crate) fn knows(&self, tick: u64) -> bool {
        self.tick.load(Relaxed) == tick
    }

    /// When a call is due that begins at the tick that is known.
    #[inline]
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Relaxed)
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.kind.get()
    }

    /// When something is first due for a call of this plan, after its beginning.
    #[inline]
    pub(crate) fn soonest(&self, plan: u32) -> u64 {
        if self.kind().plan() == plan { self.soonest.load(Relaxed) } else { Plan::get(plan).map_or(u64::MAX, |plan| plan.soonest) }
    }

    #[cfg(feature = "tch")]
    #[inline]
    pub(crate) fn plain_device(&self) -> bool {
        self.plain_device.load(Relaxed)
    }

    /// The plan in force; `None` where no more plans fit.
    pub(crate) fn look_up(&self, site: &'static Site) -> Option<&'static Plan> {
        if self.edition.load(Relaxed) == policy::edition()
            && let Some(plan) = Plan::get(self.kind().plan())
        {
            return Some(plan);
        }
        let (plan, edition) = Plan::of(site)?;
        self.tick.store(NEVER, Relaxed);
        self.kind.set(Kind::new(plan.number, COARSE));
        self.soonest.store(plan.soonest, Relaxed);
        self.plain_device.store(plan.policy.device.value.is_plain(), Relaxed);
        self.edition.store(edition, Relaxed);
        Some(plan)
    }

    /// A call under the plan in force is looked at closely; those that follow in the same tick may go by it, where `plain`.
    pub(crate) fn trust(&self, plan: &Plan, tick: u64, plain: bool) {
        let known = plain && tick != 0 && plan.limit > coarse::FAR;
        self.due.store(tick.saturating_add(plan.limit), Relaxed);
        self.tick.store(if known { tick } else { NEVER }, Relaxed);
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
        self.calls.finish_alone(Tick::from_nanos(tick), self.sample.load(Relaxed), self.bucket.load(Relaxed))
    }
}
