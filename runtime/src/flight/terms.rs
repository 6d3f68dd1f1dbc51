//! Under what terms an attempt runs: its deadline and whose that is, the policy that set it, and what calls inside take over.

use std::sync::Arc;
use std::time::Duration;

use super::cancel::Cancel;
use super::plan::Plan;
use crate::clock::{Clock, Tick};
use crate::outcome::TimeoutKind;
use crate::policy::{OnTimeout, Origin, Policy};
use crate::site::Site;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) policy: Arc<Policy>,
    pub(crate) attempts: u32,
    /// The deadline that applies: the call's own, or an earlier one of a caller.
    pub(crate) deadline: Option<Deadline>,
    /// The one at which the call is ended from outside: its own. A caller with an earlier one ends it by dropping it, while that caller runs;
    /// one that does not poll it cannot, so of a carried call it is the caller's.
    pub(crate) watched: Option<Deadline>,
    /// The deadline that calls inside inherit: this call's, but not its own limit where the policy only reports it. Nobody ends this call
    /// then, so nobody would end them.
    pub(crate) heritable: Option<Deadline>,
    pub(crate) clock: Clock,
    pub(crate) cancel: Option<Arc<Cancel>>,
    /// This call or one around it has an idle limit: a call inside that succeeds is a sign of life.
    pub(crate) beats: bool,
    /// Carried into another task: the caller does not poll what runs here, so nobody else watches its deadline.
    pub(crate) carried: bool,
}

impl Terms {
    /// Of a call without layers, that began then.
    pub(crate) fn plain(plan: &Plan, started: Tick, caller: Option<&Self>) -> Self {
        let own = Deadline::own(plan, started);
        let inherited = caller.and_then(|caller| caller.heritable.as_ref());
        let deadline = match (&own, inherited) {
            (Some(own), Some(caller)) if own.at < caller.at => Some(own.clone()),
            (_, Some(caller)) => Some(caller.inherited()),
            (own, None) => own.clone(),
        };
        Self {
            policy: Arc::clone(&plan.policy),
            attempts: 1,
            heritable: deadline.clone(),
            deadline,
            watched: own,
            clock: Clock::Wall,
            cancel: caller.and_then(|caller| caller.cancel.clone()),
            beats: caller.is_some_and(|caller| caller.beats),
            carried: false,
        }
    }

    /// The deadline that a call inside compares its own with; 0 where it has more to look at than that.
    pub(crate) fn due(&self) -> u64 {
        let at = |deadline: &Option<Deadline>| deadline.as_ref().map_or(Tick::NEVER, |deadline| deadline.at);
        let due = at(&self.deadline);
        let simple = self.clock == Clock::Wall && !self.carried && !self.beats && at(&self.watched) == due && at(&self.heritable) == due;
        if simple { due.as_nanos() } else { 0 }
    }

    /// The same once no caller is there any more whose deadline is the earlier one.
    pub(super) fn alone(&self) -> Self {
        let heritable = self.watched.clone().filter(|_| self.policy.on_timeout.value != OnTimeout::Warn);
        Self { deadline: self.watched.clone(), heritable, ..self.clone() }
    }
}

/// A point in time after which a call must not run on, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Tick,
    pub(crate) site: &'static Site,
    pub(crate) kind: TimeoutKind,
    pub(crate) limit: Duration,
    pub(crate) set_by: Origin,
    /// For how long the calls that it ends may go on.
    pub(crate) grace: Duration,
}

impl Deadline {
    /// The limit of an attempt that began then.
    pub(crate) fn own(plan: &Plan, began: Tick) -> Option<Self> {
        let policy = &plan.policy;
        let own = |limit| Self {
            at: began.after(limit),
            site: plan.site,
            kind: TimeoutKind::Limit,
            limit,
            set_by: policy.origin(plan.site, |policy| &policy.timeout),
            grace: policy.grace.value,
        };
        policy.timeout.value.map(own)
    }

    /// The same deadline, as a call inside it sees it.
    pub(crate) fn inherited(&self) -> Self {
        let set_by = match &self.set_by {
            origin @ Origin::Caller(_) => origin.clone(),
            origin => Origin::Caller(Box::new(origin.clone())),
        };
        Self { set_by, ..self.clone() }
    }
}
