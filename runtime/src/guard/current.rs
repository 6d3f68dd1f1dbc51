//! The call that the code running here belongs to: the innermost one that is being polled on this thread.

use std::sync::Arc;

use crate::clock::{Clock, Tick};
use crate::flight::{self, CallId, Cancel, Entry, Handing, Here, LAYERED, LINK, Limits, OVER, PAUSED, Shown, Terms, Ticket};
use crate::watchdog;

/// The call; `None` outside every guarded call. Gives it a record, so that others can name it.
pub(super) fn call() -> Option<CallId> {
    let here = flight::present()?;
    flight::caller(here, here.depth() - 1)
}

/// Its terms.
pub(super) fn terms() -> Option<Arc<Terms>> {
    let here = flight::present()?;
    call()?;
    flight::terms(CallId::of(here.top().call)?)
}

/// Its deadline, and the clock that this is told by.
pub(super) fn deadline() -> Option<(Tick, Clock)> {
    match flight::present()?.top_due() {
        0 => {
            let terms = terms()?;
            Some((terms.deadline.as_ref()?.at, terms.clock))
        }
        due => (due != u64::MAX).then_some((Tick::from_nanos(due), Clock::Wall)),
    }
}

/// The request to stop that reaches it.
pub(super) fn cancel() -> Option<Arc<Cancel>> {
    let here = flight::present()?;
    // Only calls with layers and links have one; what they show includes their callers'.
    let shows = |shown: Shown| shown.record().filter(|record| record.flags() & LAYERED != 0).map(|_| shown.call);
    let call = (1..here.depth()).rev().find_map(|at| shows(here.shown(at)))?;
    flight::terms(CallId::of(call)?)?.cancel.clone()
}

/// The place of the call in another task, or in a task of its own; `None` outside every guarded call.
pub(super) fn link() -> Option<Ticket> {
    let terms = Terms { carried: true, ..Terms::clone(&*terms()?) };
    let bits = LINK | LAYERED | if terms.clock == Clock::Paused { PAUSED } else { 0 };
    let link = Ticket::here(&Entry { parent: call(), started: terms.clock.now(), bits, ..Entry::default() })?;
    link.record().limit(&Limits::NONE, Some(Arc::new(terms)), None);
    Some(link)
}

/// Who hands work to another thread here, for as long as that runs; `None` outside every guarded call.
pub(super) fn handing() -> Option<Handing> {
    let site = flight::running(call()?)?.plan()?.site;
    // In a task that was carried out of the call, the task is who waits for the work.
    Some(Handing { caller: CallId::of(flight::present()?.top().call)?, site })
}

/// A poll that lasts; it ends with this, also by a panic.
pub(super) struct Entered {
    here: Here,
    at: u32,
}

/// A poll of the call of `ticket` begins.
pub(super) fn enter(ticket: &Ticket, since: u64) -> Option<Entered> {
    let here = flight::here()?;
    let record = ticket.record();
    let state = record.state();
    let call = CallId { generation: state.generation(), ..ticket.id() }.number();
    // Of a call that must end the record says something else there.
    let due = if state.bits() & OVER != 0 { 0 } else { record.due() };
    let shown = Shown { since, due, call, plan: record.plan_number(), bits: state.bits() };
    Some(Entered { here, at: here.enter(&shown) })
}

/// Does `poll` as a poll of the call of `ticket`; a panic in it is reported before it goes on.
#[inline]
pub(super) fn inside<R>(ticket: &Ticket, since: u64, poll: impl FnOnce() -> R) -> R {
    let polling = Polling { ticket, _entered: enter(ticket, since) };
    ticket.record().begin_poll();
    let polled = poll();
    ticket.record().end_poll();
    polling.over();
    polled
}

/// A poll of a call with a record. Dropped before it is over, the body has panicked: the record then shows a poll for ever.
struct Polling<'a> {
    ticket: &'a Ticket,
    _entered: Option<Entered>,
}

impl Polling<'_> {
    #[inline]
    fn over(self) {
        let mut this = std::mem::ManuallyDrop::new(self);
        drop(this._entered.take());
    }
}

impl Drop for Polling<'_> {
    #[cold]
    fn drop(&mut self) {
        let record = self.ticket.record();
        watchdog::panicked(self.ticket.id(), record, record.clock().now());
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        self.here.leave(self.at);
    }
}
