//! Which guarded call is being polled on this thread. Set around each poll, so that it follows the task, not the thread.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::cancel::Cancel;
use super::outcome::TimeoutKind;
use crate::clock::{Clock, Tick};
use crate::flight::{self, CallId, Record};
use crate::policy::{Origin, Policy};
use crate::site::Site;

thread_local!(static CURRENT: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) });

/// What a body can learn of the call it runs in.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) policy: Arc<Policy>,
    pub(crate) attempts: u32,
    pub(crate) clock: Clock,
    /// `None` where the table of running calls was full.
    pub(crate) call: Option<CallId>,
    /// The deadline that applies here: the call's own, or an earlier one of a caller.
    pub(crate) deadline: Option<Deadline>,
    pub(crate) cancel: Option<Arc<Cancel>>,
    /// Carried into another task: the caller does not poll what runs here, so nobody else watches its deadline.
    pub(crate) carried: bool,
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

impl Context {
    /// The record of the call, while it runs.
    pub(crate) fn record(&self) -> Option<&'static Record> {
        flight::running(self.call?)
    }
}

/// The context of the code that runs here; `None` outside every guarded call.
pub(crate) fn current() -> Option<Arc<Context>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Makes `context` current until the guard is dropped, also by a panic.
pub(crate) fn enter(context: Arc<Context>) -> Entered {
    Entered { before: exchange(Some(context)) }
}

fn exchange(context: Option<Arc<Context>>) -> Option<Arc<Context>> {
    CURRENT.try_with(|current| current.replace(context)).ok().flatten()
}

/// See [`enter`].
pub(crate) struct Entered {
    before: Option<Arc<Context>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        exchange(self.before.take());
    }
}
