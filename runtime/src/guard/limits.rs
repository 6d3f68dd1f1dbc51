//! What limits the attempt that begins.

use std::sync::Arc;

use super::call::Call;
use crate::clock::Tick;
use crate::flight::{Cancel, Deadline};

impl Call {
    /// When the whole call must be over; `NEVER` without a total limit.
    pub(super) fn total_at(&self) -> Tick {
        self.total.as_ref().map_or(Tick::NEVER, |total| total.at)
    }

    /// The deadline of the attempt that begins, and whether it is the caller's: the earliest of its own, the whole call's and the caller's.
    pub(super) fn deadline(&self, now: Tick) -> (Option<Deadline>, bool) {
        let own = Deadline::own(self.plan, now);
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
