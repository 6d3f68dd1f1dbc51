//! What limits the attempt that begins.

use std::sync::Arc;

use super::call::Call;
use super::cancel::Cancel;
use crate::clock::Tick;
use crate::flight::Deadline;
use crate::outcome::TimeoutKind;
use crate::policy::WarnAt;

impl Call {
    /// When the whole call must be over; `NEVER` without a total limit.
    pub(super) fn total_at(&self) -> Tick {
        self.total.as_ref().map_or(Tick::NEVER, |total| total.at)
    }

    /// The deadline of the attempt that begins, and whether it is the caller's: the earliest of its own, the whole call's and the caller's.
    pub(super) fn deadline(&self, now: Tick) -> (Option<Deadline>, bool) {
        let policy = &self.policy;
        let own = policy.timeout.value.map(|limit| Deadline {
            at: now.after(limit),
            site: self.site,
            kind: TimeoutKind::Limit,
            limit,
            set_by: policy.timeout.origin.clone(),
        });
        let own = earlier(own, self.total.clone());
        match (own, self.inheritance()) {
            (Some(own), Some(caller)) if own.at < caller.at => (Some(own), false),
            (_, Some(caller)) => (Some(caller.inherited()), true),
            (own, None) => (own, false),
        }
    }

    /// The deadline that the caller passes on.
    pub(super) fn inheritance(&self) -> Option<&Deadline> {
        self.caller.as_ref().filter(|_| self.policy.inherit.value).and_then(|caller| caller.heritable.as_ref())
    }

    pub(super) fn warn(&self, now: Tick) -> Tick {
        match (self.policy.warn_at.value, self.policy.timeout.value) {
            (Some(WarnAt::Elapsed(elapsed)), _) => now.after(elapsed),
            (Some(WarnAt::Fraction(fraction)), Some(limit)) => now.after(limit.mul_f64(fraction.clamp(0.0, 1.0))),
            _ => Tick::NEVER,
        }
    }

    /// A request to stop is only needed where there is a grace between it and the end.
    pub(super) fn cancel(&self) -> Option<Arc<Cancel>> {
        let caller = self.caller.as_ref().and_then(|caller| caller.cancel.clone());
        if self.policy.grace.value.is_zero() { caller } else { Some(Cancel::within(caller)) }
    }
}

fn earlier(one: Option<Deadline>, other: Option<Deadline>) -> Option<Deadline> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.at < one.at { other } else { one }),
        (one, other) => one.or(other),
    }
}
