//! Gives calls their records: at the first time that they wait, and earlier where a call inside must name its caller.

use std::sync::Arc;
use std::task::Waker;

use super::lane::Here;
use super::record::{CallId, Entry, LINK, limits};
use super::table::{self, Ticket, running};
use super::terms::Terms;
use crate::clock::Tick;

/// The record of the call of frame `at`, which has none. `None` where the table is full.
#[inline]
pub(crate) fn register(here: Here, at: u32, waker: Option<Waker>) -> Option<Ticket> {
    let shown = here.shown(at);
    let plan = shown.plan()?;
    let started = Tick::from_nanos(shown.since);
    let parent = if at > 1 { caller(here, at - 1) } else { None };
    let ticket = Ticket::take(here, &Entry { plan: shown.plan, parent, started, due: shown.due, bits: shown.bits }, waker)?;
    ticket.record().begin_poll();
    if let Some((flags, incident)) = here.noted(at, shown.since) {
        ticket.record().take_over(flags, incident);
    }
    let (warn, deadline) = limits(plan, shown.bits, started);
    let due = warn.min(deadline);
    table::expect(ticket.record(), due, table::soon(due, shown.since));
    Some(ticket)
}

/// The call of frame `at`: takes its record on its behalf, where it has none yet. It finds it when its poll is over.
#[cold]
pub(crate) fn caller(here: Here, at: u32) -> Option<CallId> {
    if at == 0 {
        return None;
    }
    if let Some(id) = CallId::of(here.shown(at).call) {
        let link = running(id).filter(|record| record.flags() & LINK != 0);
        return link.map_or(Some(id), |link| link.parent());
    }
    let ticket = register(here, at, None)?;
    let id = ticket.id();
    here.set_call(at, id.number());
    // The call itself gives it back.
    std::mem::forget(ticket);
    Some(id)
}

/// The ticket of a call whose record was taken on its behalf. For the call itself, once its poll is over.
pub(crate) fn adopt(call: u64) -> Option<Ticket> {
    Some(Ticket::adopt(running(CallId::of(call)?)?))
}

/// The terms of a running call, of the attempt that runs.
pub(crate) fn terms(id: CallId) -> Option<Arc<Terms>> {
    let record = running(id)?;
    record.shown().or_else(|| {
        let caller = record.parent().and_then(terms);
        Some(Arc::new(Terms::plain(record.plan()?, record.started(), caller.as_deref())))
    })
}
