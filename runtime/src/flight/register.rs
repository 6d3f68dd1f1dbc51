//! Gives calls their records: at the first time that they wait, and earlier where a call inside must name its caller.

use std::iter::successors;
use std::sync::Arc;
use std::task::Waker;

use super::bits::LINK;
use super::frame::Shown;
use super::here::Inside;
use super::id::CallId;
use super::plan::Plan;
use super::record::{Entry, Record, soon_after};
use super::table::{self, Ticket, running};
use super::terms::Terms;
use super::view::View;
use crate::clock::Tick;

/// The record of the call of this frame, which shows that it has none; `soonest` says when something is first due under a plan. `None` where
/// the table is full.
#[inline(always)]
pub(crate) fn register(inside: Inside, shown: &Shown, soonest: impl FnOnce(u32) -> u64, waker: Option<&Waker>) -> Option<Ticket> {
    let (plan, bits, started) = (shown.kind.plan(), shown.kind.bits(), Tick::from_nanos(shown.since));
    // It will wait with the same waker, most likely, and needs no other one then.
    let parent = inside.outer().and_then(|outer| call(outer, waker));
    let entry = Entry { plan, parent, started, due: shown.due, bits };
    let ticket = Ticket::take(inside.here(), &entry, waker.cloned())?;
    ticket.record().begin_poll();
    if let Some((flags, incident)) = inside.noted(shown.since) {
        ticket.record().take_over(flags, incident);
    }
    let due = soon_after(soonest(plan), bits, started);
    table::expect(ticket.record(), due, table::soon(due, shown.since));
    Some(ticket)
}

/// The call of this frame: takes its record on its behalf, where it has none yet. It finds it when its poll is over.
pub(crate) fn caller(inside: Inside) -> Option<CallId> {
    call(inside, None)
}

/// The same; `waker` is that of the poll.
fn call(inside: Inside, waker: Option<&Waker>) -> Option<CallId> {
    if inside.is_none() {
        return None;
    }
    let shown = inside.shown();
    if let Some(id) = CallId::of(shown.call) {
        let link = running(id).filter(|record| record.flags() & LINK != 0);
        return link.map_or(Some(id), |link| link.parent());
    }
    let ticket = register(inside, &shown, |plan| Plan::get(plan).map_or(u64::MAX, |plan| plan.soonest), waker)?;
    let id = ticket.id();
    inside.set_call(id.number());
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
    let Some(shown) = record.shown() else {
        let caller = record.parent().and_then(terms);
        return Some(Arc::new(Terms::plain(record.plan()?, record.started(), caller.as_deref())));
    };
    let left = record.view().is_some_and(|view| view.within && !has_caller(&view));
    Some(if left { Arc::new(shown.alone()) } else { shown })
}

/// Whether a caller still runs that ends before the call would, or may: it ends the call by dropping it.
pub(crate) fn has_caller(view: &View) -> bool {
    let callers = successors(view.parent, |caller| running(*caller)?.parent());
    let mut views = callers.map_while(running).filter_map(Record::view);
    views.any(|caller| view.ends_after(&caller))
}
