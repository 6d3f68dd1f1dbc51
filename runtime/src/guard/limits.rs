//! What limits the attempt that begins.

use std::sync::Arc;

use super::call::Call;
use crate::clock::Tick;
use crate::flight::{self, Cancel, Deadline};

impl Call {
    /// When the whole call must be over; `NEVER` without a total limit.
    pub(super) fn total_at(&self) -> Tick {
        self.total.as_ref().map_or(Tick::NEVER, |total| total.at)
    }

    /// The attempt's own deadline: the earlier of its limit and that of the whole call.
    pub(super) fn own_deadline(&self, now: Tick) -> Option<Deadline> {
        earlier(Deadline::own(self.plan, now), self.total.clone())
    }

    /// The deadline that the caller passes on. One that is gone limits nothing but what was carried out of it.
    pub(super) fn inherited(&self) -> Option<Deadline> {
        let caller = self.caller.as_ref().filter(|_| self.policy.inherit.value)?;
        let there = caller.carried || self.parent.and_then(flight::running).is_some();
        caller.heritable.as_ref().filter(|_| there).map(Deadline::inherited)
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
