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
use crate::flight::{self, BEATS, COARSE, Here, INHERITED, Plan, Shown, Slot};
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
pub(super) struct First {
    here: Here,
    slot: &'static Slot,
    /// When it began, in nanoseconds: a tick of the coarse time, or exactly.
    began: u64,
    at: u32,
    exact: bool,
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
    let (own, callers) = (tick.saturating_add(slot.limit()), here.top_due());
    let due = own.min(callers);
    if due.saturating_sub(tick) < coarse::FAR {
        return None;
    }
    slot.calls.start_alone();
    let bits = COARSE | if callers < own { INHERITED } else { 0 };
    let at = here.enter(&Shown { since: tick, due, call: 0, plan: slot.plan(), bits });
    Some(First { here, slot, began: tick, at, exact: false })
}

/// A call of `site` begins, and is looked at closely.
#[cold]
#[inline(never)]
pub(super) fn closely(site: &'static Site) -> Begun {
    let Some((plan, slot)) = plan(site) else { return Begun::Off };
    let clock = Clock::here();
    match (flight::here(), slot) {
        (Some(here), Some(slot)) if plan.plain && clock == Clock::Wall && !unusual() => plainly(plan, here, slot),
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

fn plainly(plan: &'static Plan, here: Here, slot: &'static Slot) -> Begun {
    let tick = coarse::now();
    if tick == 0 {
        coarse::missed();
    }
    let now = Tick::now();
    let own = now.as_nanos().saturating_add(plan.limit);
    let mut bits = 0;
    let mut due = here.top_due();
    if due == 0
        && let Some(caller) = current::terms()
    {
        due = caller.heritable.as_ref().map_or(u64::MAX, |deadline| deadline.at.as_nanos());
        // A caller that does not poll us does not end us either: its deadline is ours to watch.
        if caller.carried && due <= own {
            return Begun::Layered(Box::new(Call::begin(plan, Clock::Wall)));
        }
        bits |= if caller.beats { BEATS } else { 0 };
    }
    bits |= if due <= own { INHERITED } else { 0 };
    let due = if bits & BEATS != 0 { 0 } else { due.min(own) };
    slot.trust(tick, !observe::each_is_told());
    observe::began(plan.site, slot.calls, now);
    let at = here.enter(&Shown { since: now.as_nanos(), due, call: 0, plan: plan.number, bits });
    Begun::Plain(First { here, slot, began: now.as_nanos(), at, exact: true })
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
    /// The body returned at its first poll.
    #[inline(always)]
    pub(super) fn end<R, S: Returns<R>>(self, returns: S, returned: R) -> R {
        let failed = returns.failed(&returned);
        let call = self.here.leave(self.at);
        if call == 0 && !failed && !self.exact && coarse::now() == self.began && self.slot.count(self.began) {
            std::mem::forget(self);
            return returned;
        }
        self.end_closely(returns, returned, failed)
    }

    #[cold]
    #[inline(never)]
    fn end_closely<R, S: Returns<R>>(self, returns: S, returned: R, failed: bool) -> R {
        match self.conclude(failed) {
            Some(waiting) => waiting.conclude(returns, Ok(returned)),
            None => returned,
        }
    }

    /// Looks at the end closely. `None`: the call is counted, and its value stands.
    #[cold]
    fn conclude(self, failed: bool) -> Option<Waiting> {
        let this = std::mem::ManuallyDrop::new(self);
        let now = Tick::now();
        let shown = this.here.shown(this.at);
        if shown.call == 0 && !this.overdue(&shown, now) && shown.bits & BEATS == 0 {
            let elapsed = this.elapsed(now);
            this.slot.measured(elapsed);
            let outcome = if failed { Outcome::Error } else { Outcome::Ok };
            observe::ended(this.slot.site, this.slot.calls, now, outcome, Duration::from_nanos(elapsed));
            return None;
        }
        this.waiting(None)
    }

    /// The body waits: the call takes its record. `None` where the table is full.
    #[inline]
    pub(super) fn waits(self, waker: &Waker) -> Option<Waiting> {
        let this = std::mem::ManuallyDrop::new(self);
        this.here.leave(this.at);
        this.waiting(Some(waker))
    }

    #[inline]
    fn waiting(&self, waker: Option<&Waker>) -> Option<Waiting> {
        let call = self.here.shown(self.at).call;
        let ticket = if call == 0 { flight::register(self.here, self.at, waker.cloned()) } else { flight::adopt(call) };
        let Some(ticket) = ticket else {
            self.lose();
            return None;
        };
        ticket.record().end_poll();
        if let Some(waker) = waker.filter(|_| call != 0) {
            ticket.record().wait(waker);
        }
        Some(Waiting::new(ticket))
    }

    /// The table is full: the call goes on unguarded.
    #[cold]
    fn lose(&self) {
        observe::event(&Event::Dropped { what: "call" });
        let now = Tick::now();
        observe::ended(self.slot.site, self.slot.calls, now, Outcome::Cancelled, now.since(Tick::from_nanos(self.began)));
    }

    /// Whether the call's own deadline has surely passed.
    fn overdue(&self, shown: &Shown, now: Tick) -> bool {
        let gap = if self.exact { 0 } else { coarse::longest_gap() };
        let limit = shown.plan().map_or(u64::MAX, |plan| plan.limit);
        now.as_nanos() >= self.began.saturating_add(gap).saturating_add(limit)
    }

    fn elapsed(&self, now: Tick) -> u64 {
        let most = now.as_nanos().saturating_sub(self.began);
        if self.exact { most } else { waiting::estimate(self.slot.sample(), most) }
    }
}

impl Drop for First {
    /// The body has panicked.
    #[cold]
    fn drop(&mut self) {
        flight::caller(self.here, self.at);
        if let Some(ticket) = flight::adopt(self.here.shown(self.at).call) {
            watchdog::panicked(ticket.id(), ticket.record(), Tick::now());
            // Its poll has not ended: so it is found to have panicked.
            Waiting::new(ticket).left();
        }
        self.here.leave(self.at);
    }
}
