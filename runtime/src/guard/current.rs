//! The call that the code running here belongs to: the innermost one that is being polled on this thread.

use std::sync::Arc;

use crate::clock::{Clock, Tick};
use crate::flight::{
    self, CallId, Cancel, Entry, Handing, INHERITED, Inside, Kind, LAYERED, LINK, Limits, OVER, PAUSED, Record, Shown, Terms, Ticket,
};
use crate::watchdog;

/// The call; `None` outside every guarded call. Gives it a record, so that others can name it.
pub(super) fn call() -> Option<CallId> {
    flight::caller(flight::present()?.top())
}

/// Its terms.
pub(super) fn terms() -> Option<Arc<Terms>> {
    let top = flight::present()?.top();
    flight::caller(top)?;
    flight::terms(CallId::of(top.shown().call)?)
}

/// Its deadline, and the clock that this is told by.
pub(super) fn deadline() -> Option<(Tick, Clock)> {
    match flight::present()?.top().due() {
        0 => {
            let terms = terms()?;
            Some((terms.deadline.as_ref()?.at, terms.clock))
        }
        due => (due != u64::MAX).then_some((Tick::from_nanos(due), Clock::Wall)),
    }
}

/// The request to stop that reaches it.
pub(super) fn cancel() -> Option<Arc<Cancel>> {
    // Only calls with layers and links have one; what they show includes their callers'.
    let shows = |shown: Shown| shown.record().filter(|record| record.flags() & LAYERED != 0).map(|_| shown.call);
    let call = std::iter::successors(Some(flight::present()?.top()), |inside| inside.outer()).find_map(|inside| shows(inside.shown()))?;
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
    Some(Handing { caller: CallId::of(flight::present()?.top().shown().call)?, site })
}

/// A poll that lasts; it ends with this, also by a panic.
pub(super) struct Entered(Inside);

/// A poll of the call of `record` begins.
#[inline]
pub(super) fn enter(record: &Record, since: u64) -> Option<Entered> {
    let here = flight::here()?;
    let state = record.state();
    let call = record.number(state);
    let due = record.due();
    // Of a call that must end the record says something else there; and an inherited deadline is known to apply where its caller polls the call.
    let known = match state.bits() & (OVER | INHERITED) {
        0 => true,
        INHERITED => here.top().due() == due,
        _ => false,
    };
    let due = if known { due } else { 0 };
    let shown = Shown { since, due, call, kind: Kind::new(record.plan_number(), state.bits()) };
    Some(Entered(here.enter(&shown)))
}

/// Does `poll` as a poll of the call of `record`; a panic in it is reported before it goes on.
#[inline]
pub(super) fn inside<R>(record: &'static Record, since: u64, poll: impl FnOnce() -> R) -> R {
    let _entered = enter(record, since);
    let polling = Polling(record);
    record.begin_poll();
    let polled = poll();
    std::mem::forget(polling);
    record.end_poll();
    polled
}

/// A poll of a call with a record. Dropped before it is over, the body has panicked: the record then shows a poll for ever.
struct Polling(&'static Record);

impl Drop for Polling {
    #[inline(always)]
    fn drop(&mut self) {
        panicked(self.0);
    }
}

#[cold]
#[inline(never)]
fn panicked(record: &'static Record) {
    watchdog::panicked(record.id(), record, record.clock().now());
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}
