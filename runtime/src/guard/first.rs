//! The first poll of a call without layers: where it ends there, as most calls do, nothing but counting happens.
//!
//! By day, while calls come in numbers, it reads no clock: it began and ended in one tick of the coarse time, and took as long as
//! the call that was measured in this tick. What is due soon, what somebody listens to, and the first call of a function in each tick is looked
//! at closely.

use std::task::Waker;
use std::time::Duration;

use super::call::Call;
use super::current;
use super::returned::Returns;
use super::waiting::{self, Waiting};
use crate::clock::{Clock, Tick};
use crate::coarse;
use crate::event::Event;
use crate::flight::{self, BEATS, COARSE, Here, INHERITED, Inside, Kind, Plan, Shown, Slot};
use crate::observe;
use crate::outcome::Outcome;
use crate::site::Site;
use crate::watchdog;

/// How a call begins.
pub(super) enum Begun {
    /// Without layers: its body is polled now.
    Plain(First),
    /// With layers around its body.
    Layered(Box<Call>),
    /// Unguarded.
    Off,
}

/// The first poll of a call without layers. Dropped before it is over, the body has panicked.
///
/// What is done seldom at its end finds its frame again, so that nothing of it must be kept where the body returns at once.
pub(super) struct First {
    inside: Inside,
    slot: &'static Slot,
}

/// A call of `site` begins, by what is known from a call that was looked at closely in this tick; `None` where that is not enough.
#[inline(always)]
pub(super) fn quickly(site: &'static Site) -> Option<First> {
    let here = flight::present()?;
    let slot = here.slot(site)?;
    let tick = coarse::now();
    if !slot.knows(tick) || unusual() || Clock::here() == Clock::Paused {
        return None;
    }
    let (caller, inside) = here.shallow()?;
    let (mut due, mut kind) = (slot.due(), slot.kind());
    if caller.due() <= due {
        (due, kind) = (caller.due(), kind.with(INHERITED));
        if due.saturating_sub(tick) < coarse::FAR {
            return None;
        }
    }
    slot.calls.start_alone();
    inside.begin(&Shown { since: tick, due, call: 0, kind });
    Some(First { inside, slot })
}

/// A call of `site` begins, and is looked at closely.
pub(super) fn closely(site: &'static Site) -> Begun {
    // Before the plan is looked up: policies that change after that begin a tick of their own.
    let tick = coarse::now();
    let Some((plan, slot)) = plan(site) else { return Begun::Off };
    let clock = Clock::here();
    match (flight::here(), slot) {
        (Some(here), Some(slot)) if plan.plain && clock == Clock::Wall && !unusual() => plainly(plan, here, slot, tick),
        _ => Begun::Layered(Box::new(Call::begin(plan, clock))),
    }
}

/// A call of `site` that may have more than one attempt begins; `None` where its guard is switched off.
pub(super) fn begin_layered(site: &'static Site) -> Option<Box<Call>> {
    plan(site).map(|(plan, _)| Box::new(Call::begin(plan, Clock::here())))
}

/// The plan in force and where this thread counts; `None` where the guard is switched off.
fn plan(site: &'static Site) -> Option<(&'static Plan, Option<&'static Slot>)> {
    watchdog::start();
    flight::runtime::meet();
    // No slot: no attribute made the site, or the thread is being torn down.
    let slot = flight::here().and_then(|here| here.slot_or_new(site));
    let plan = slot.map_or_else(|| Plan::of(site).map(|(plan, _)| plan), |slot| slot.look_up(site));
    if plan.is_none() {
        observe::event(&Event::Dropped { what: "call" });
    }
    plan.filter(|plan| plan.policy.enabled.value).map(|plan| (plan, slot))
}

fn plainly(plan: &'static Plan, here: Here, slot: &'static Slot, tick: u64) -> Begun {
    if tick == 0 {
        coarse::missed();
    }
    let now = Tick::now();
    let own = now.as_nanos().saturating_add(plan.limit);
    let mut bits = 0;
    let caller = here.top();
    let mut due = caller.due();
    if due == 0
        && let Some(terms) = current::terms()
    {
        due = terms.heritable.as_ref().map_or(u64::MAX, |deadline| deadline.at.as_nanos());
        // A caller that does not poll us does not end us either: its deadline is ours to watch.
        if terms.carried && due <= own {
            return Begun::Layered(Box::new(Call::begin(plan, Clock::Wall)));
        }
        bits |= if terms.beats { BEATS } else { 0 };
    }
    bits |= if due <= own { INHERITED } else { 0 };
    let due = if bits & BEATS != 0 { 0 } else { due.min(own) };
    slot.trust(plan, tick, !observe::each_is_told());
    observe::began(plan.site, slot.calls, now);
    let inside = here.enter(&Shown { since: now.as_nanos(), due, call: 0, kind: Kind::new(plan.number, bits) });
    Begun::Plain(First { inside, slot })
}

/// Whether a fault may be injected into this call: then it is not left to the plain path.
#[inline]
fn unusual() -> bool {
    #[cfg(feature = "inject")]
    return crate::inject::expected();
    #[cfg(not(feature = "inject"))]
    false
}

impl First {
    /// The body has returned: where nothing needs a closer look, the call is counted. Of one that began by what is known.
    #[inline(always)]
    pub(super) fn quickly(self, failed: bool) -> Result<(), Self> {
        let Self { inside, slot } = self;
        let began = inside.since();
        if inside.call() == 0 && !failed && coarse::now() == began && slot.count(began) {
            inside.leave();
            std::mem::forget(self);
            return Ok(());
        }
        Err(self)
    }

    /// The body has returned.
    #[inline]
    pub(super) fn end<R, S: Returns<R>>(self, site: &'static Site, returns: S, returned: R) -> R {
        std::mem::forget(self);
        match conclude(site, returns.failed(&returned)) {
            Some(waiting) => waiting.conclude(returns, Ok(returned)),
            None => returned,
        }
    }

    /// The body waits: the call takes its record. `None` where the table is full.
    #[inline(always)]
    pub(super) fn waits(self, site: &'static Site, waker: &Waker) -> Option<Waiting> {
        std::mem::forget(self);
        waits(site, waker)
    }
}

impl Drop for First {
    /// The body has panicked.
    #[inline(always)]
    fn drop(&mut self) {
        panicked();
    }
}

#[cold]
#[inline(never)]
fn panicked() {
    let Some(inside) = flight::present().map(Here::top) else { return };
    flight::caller(inside);
    if let Some(ticket) = flight::adopt(inside.shown().call) {
        watchdog::panicked(ticket.id(), ticket.record(), Tick::now());
        // Its poll has not ended: so it is found to have panicked.
        Waiting::new(ticket).left();
    }
    inside.leave();
}

/// Looks at the end closely. `None`: the call is counted, and its value stands.
#[cold]
#[inline(never)]
fn conclude(site: &'static Site, failed: bool) -> Option<Waiting> {
    let (inside, slot) = over(site)?;
    let (now, shown) = (Tick::now(), inside.shown());
    if shown.call == 0 && !overdue(&shown, now) && shown.kind.bits() & BEATS == 0 {
        let most = now.as_nanos().saturating_sub(shown.since);
        let elapsed = if shown.kind.bits() & COARSE == 0 { most } else { waiting::estimate(slot.sample(), most) };
        slot.measured(elapsed);
        ended(&shown, slot, now, if failed { Outcome::Error } else { Outcome::Ok }, elapsed);
        return None;
    }
    waiting(inside, slot, &shown, None)
}

#[inline(never)]
fn waits(site: &'static Site, waker: &Waker) -> Option<Waiting> {
    let (inside, slot) = over(site)?;
    waiting(inside, slot, &inside.shown(), Some(waker))
}

/// The first poll is over: that of the innermost call, which is one of `site`.
#[inline]
fn over(site: &'static Site) -> Option<(Inside, &'static Slot)> {
    let here = flight::present()?;
    let inside = here.top();
    inside.leave();
    Some((inside, here.slot(site)?))
}

/// The call takes its record; `None` where the table is full.
#[inline(always)]
fn waiting(inside: Inside, slot: &'static Slot, shown: &Shown, waker: Option<&Waker>) -> Option<Waiting> {
    let ticket = match shown.call {
        0 => flight::register(inside, shown, |plan| slot.soonest(plan), waker),
        call => flight::adopt(call),
    };
    let Some(ticket) = ticket else {
        lose(shown, slot);
        return None;
    };
    ticket.record().end_poll();
    if let Some(waker) = waker.filter(|_| shown.call != 0) {
        ticket.record().wait(waker);
    }
    Some(Waiting::new(ticket))
}

/// The table is full: the call goes on unguarded.
#[cold]
fn lose(shown: &Shown, slot: &'static Slot) {
    observe::event(&Event::Dropped { what: "call" });
    let now = Tick::now();
    ended(shown, slot, now, Outcome::Cancelled, now.as_nanos().saturating_sub(shown.since));
}

fn ended(shown: &Shown, slot: &'static Slot, now: Tick, outcome: Outcome, elapsed: u64) {
    if let Some(plan) = shown.plan() {
        observe::ended(plan.site, slot.calls, now, outcome, Duration::from_nanos(elapsed));
    }
}

/// Whether the call's own deadline has surely passed.
fn overdue(shown: &Shown, now: Tick) -> bool {
    let gap = if shown.kind.bits() & COARSE == 0 { 0 } else { coarse::gap_after(shown.since) };
    let limit = shown.plan().map_or(u64::MAX, |plan| plan.limit);
    now.as_nanos() >= shown.since.saturating_add(gap).saturating_add(limit)
}
