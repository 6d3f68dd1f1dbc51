//! Under what terms an attempt runs: its deadline and whose that is, and the policy that set it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Tick;
use crate::outcome::TimeoutKind;
use crate::policy::{Origin, Policy};
use crate::site::Site;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) policy: Arc<Policy>,
    pub(crate) attempts: u32,
    /// The deadline that applies: the call's own, or an earlier one of a caller.
    pub(crate) deadline: Option<Deadline>,
}

/// A point in time after which a call must not run on, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Tick,
    pub(crate) site: &'static Site,
    pub(crate) kind: TimeoutKind,
    pub(crate) limit: Duration,
    pub(crate) set_by: Origin,
}

impl Deadline {
    /// The same deadline, as a call inside it sees it.
    pub(crate) fn inherited(&self) -> Self {
        let set_by = match &self.set_by {
            origin @ Origin::Caller(_) => origin.clone(),
            origin => Origin::Caller(Box::new(origin.clone())),
        };
        Self { set_by, ..self.clone() }
    }
}
