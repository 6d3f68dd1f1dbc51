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
use crate::flight::{self, BEATS, Here, INHERITED, Inside, Kind, Plan, Shown, Slot};
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
    inside: Inside,
    slot: &'static Slot,
    /// The tick of the coarse time in which it began; [`EXACTLY`] where the clock was read.
    tick: u64,
}

/// No tick is that one.
const EXACTLY: u64 = u64::MAX;

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
    if caller.due() < due {
        (due, kind) = (caller.due(), kind.with(INHERITED));
        if due.saturating_sub(tick) < coarse::FAR {
            return None;
        }
    }
    slot.calls.start_alone();
    inside.begin(&Shown { since: tick, due, call: 0, kind });
    Some(First { inside, slot, tick })
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
    let inside = caller.enter(&Shown { since: now.as_nanos(), due, call: 0, kind: Kind::new(plan.number, bits) });
    Begun::Plain(First { inside, slot, tick: EXACTLY })
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
    /// The body returned at its first poll; whether that is all there is to it.
    #[inline(always)]
    pub(super) fn quickly(self, failed: bool) -> Result<(), Self> {
        if self.inside.leave() == 0 && !failed && coarse::now() == self.tick {
            self.slot.count(self.tick);
            std::mem::forget(self);
            return Ok(());
        }
        Err(self)
    }

    /// The body returned at its first poll, which is looked at closely.
    #[cold]
    #[inline(never)]
    pub(super) fn end<R, S: Returns<R>>(self, returns: S, returned: R) -> R {
        match self.conclude(returns.failed(&returned)) {
            Some(waiting) => waiting.conclude(returns, Ok(returned)),
            None => returned,
        }
    }

    /// Looks at the end closely. `None`: the call is counted, and its value stands.
    fn conclude(self, failed: bool) -> Option<Waiting> {
        let this = std::mem::ManuallyDrop::new(self);
        this.inside.leave();
        let now = Tick::now();
        let shown = this.inside.shown();
        if shown.call == 0 && !this.overdue(&shown, now) && shown.kind.bits() & BEATS == 0 {
            let elapsed = this.elapsed(&shown, now);
            this.slot.measured(elapsed);
            let outcome = if failed { Outcome::Error } else { Outcome::Ok };
            this.ended(&shown, now, outcome, elapsed);
            return None;
        }
        this.waiting(None)
    }

    /// The body waits: the call takes its record. `None` where the table is full.
    #[inline(never)]
    pub(super) fn waits(self, waker: &Waker) -> Option<Waiting> {
        let this = std::mem::ManuallyDrop::new(self);
        this.inside.leave();
        this.waiting(Some(waker))
    }

    #[inline]
    fn waiting(&self, waker: Option<&Waker>) -> Option<Waiting> {
        let call = self.inside.shown().call;
        let ticket =
            if call == 0 { flight::register(self.inside, |plan| self.slot.soonest(plan), waker.cloned()) } else { flight::adopt(call) };
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
        let (now, shown) = (Tick::now(), self.inside.shown());
        self.ended(&shown, now, Outcome::Cancelled, now.as_nanos().saturating_sub(shown.since));
    }

    fn ended(&self, shown: &Shown, now: Tick, outcome: Outcome, elapsed: u64) {
        if let Some(plan) = shown.plan() {
            observe::ended(plan.site, self.slot.calls, now, outcome, Duration::from_nanos(elapsed));
        }
    }

    /// Whether the call's own deadline has surely passed.
    fn overdue(&self, shown: &Shown, now: Tick) -> bool {
        let gap = if self.tick == EXACTLY { 0 } else { coarse::longest_gap() };
        let limit = shown.plan().map_or(u64::MAX, |plan| plan.limit);
        now.as_nanos() >= shown.since.saturating_add(gap).saturating_add(limit)
    }

    fn elapsed(&self, shown: &Shown, now: Tick) -> u64 {
        let most = now.as_nanos().saturating_sub(shown.since);
        if self.tick == EXACTLY { most } else { waiting::estimate(self.slot.sample(), most) }
    }
}

impl Drop for First {
    /// The body has panicked.
    #[cold]
    fn drop(&mut self) {
        flight::caller(self.inside);
        if let Some(ticket) = flight::adopt(self.inside.shown().call) {
            watchdog::panicked(ticket.id(), ticket.record(), Tick::now());
            // Its poll has not ended: so it is found to have panicked.
            Waiting::new(ticket).left();
        }
        self.inside.leave();
    }
}
