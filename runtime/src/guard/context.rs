//! Which guarded call is being polled on this thread. Set around each poll, so that it follows the task, not the thread.

use std::cell::RefCell;
use std::sync::Arc;

use super::cancel::Cancel;
use crate::clock::Clock;
use crate::flight::{self, CallId, Deadline, Record, Terms};

thread_local!(static CURRENT: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) });

/// What a body can learn of the call it runs in.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) terms: Arc<Terms>,
    /// The deadline that calls inside inherit: this call's, but not its own limit where the policy only reports it. Nobody ends this call
    /// then, so nobody would end them.
    pub(crate) heritable: Option<Deadline>,
    pub(crate) clock: Clock,
    /// `None` where the table of running calls was full.
    pub(crate) call: Option<CallId>,
    pub(crate) cancel: Option<Arc<Cancel>>,
    /// Carried into another task: the caller does not poll what runs here, so nobody else watches its deadline.
    pub(crate) carried: bool,
}

impl Context {
    /// The deadline that applies here: the call's own, or an earlier one of a caller.
    pub(crate) fn deadline(&self) -> Option<&Deadline> {
        self.terms.deadline.as_ref()
    }

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
