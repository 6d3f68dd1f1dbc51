//! Retry, breaker, rate limit and bulkhead: one file a layer, each a pure decision of its state and a `now` that it is given.
//!
//! The guard asks them in one order, whatever the attribute's arguments look like. Each answer is a value that gives back what it took
//! when it is dropped, so a cancelled call needs no code of its own:
//!
//! ```text
//! let policy = policy::of(site);                               // once a call; kept until its end
//! let state = resilience::of(site, &policy);                   // None: no such layer, nothing to ask
//! let mut pauses = policy.retry.value.as_ref().map(Backoff::new);
//! loop {
//!     let failure = 'attempt: {
//!         let permit = match state.breaker(site, &policy, now) {
//!             Err(Open { .. }) => break 'attempt Failure::Rejected,
//!             Ok(permit) => permit,
//!         };
//!         match state.rate(site, &policy, now) {
//!             Turn::Ready => {}
//!             Turn::Wait(slot) => { sleep_until(slot.at()).await; slot.take() }
//!             Turn::Refused => break 'attempt Failure::Rejected,
//!         }
//!         // The limit of the attempt starts here; the wait for a seat is part of it.
//!         let _seat = state.enter(site, &policy).await;
//!         // injection, body
//!         state.settle(site, &policy, permit, succeeded, now);  // a cancelled call drops the permit instead
//!     };
//!     match retry::decide(rule, failure, attempt, now, total_deadline, &mut pauses) {
//!         Next::Again { at, .. } => sleep_until(at).await,      // no seat, no permit, no turn is held here
//!         Next::Stop(_) => break,
//!     }
//! }
//! ```
//!
//! State outlives policies: a reload changes limits, not what a breaker has learned. What bounds a function and not a call, its rate and its
//! bulkhead, follows the policies in force, whichever a call began under: two bounds at once would be none.

pub(crate) mod breaker;
pub(crate) mod concurrency;
pub(crate) mod rate;
pub(crate) mod retry;
mod returned;

use std::sync::OnceLock;

use breaker::{Circuit, Open, Permit, Phase};
use concurrency::{Bulkhead, Seat};
use rate::{Pace, Turn};

use crate::clock::Tick;
use crate::event::Event;
use crate::observe;
use crate::policy::{self, Policy};
use crate::site::{Site, sites};

/// What the layers of one function remember from call to call.
#[derive(Debug)]
pub(crate) struct State {
    circuit: Circuit,
    pace: Pace,
    bulkhead: Bulkhead,
}

/// The layers' memory of `site`; `None` where its policy has no layer that remembers anything, which costs three comparisons.
///
/// It is made by the first call that needs it and kept for the life of the program.
pub(crate) fn of(site: &'static Site, policy: &Policy) -> Option<&'static State> {
    let needed = policy.breaker.value.is_some() || policy.rate_limit.value.is_some() || policy.concurrency.value.is_some();
    if !needed {
        return None;
    }
    let states = STATES.get_or_init(|| {
        policy::after_each_change(follow_policies);
        sites().iter().map(|_| OnceLock::new()).collect()
    });
    Some(states.get(site.id())?.get_or_init(|| Box::new(State::new())))
}

/// By [`Site::id`].
static STATES: OnceLock<Box<[OnceLock<Box<State>>]>> = OnceLock::new();

/// What bounds a function follows a reload at once, also where nobody calls.
fn follow_policies() {
    let states = STATES.get().into_iter().flatten();
    for (site, state) in sites().iter().zip(states) {
        if let Some(state) = state.get() {
            state.close_without_breaker(site);
            state.resize(site, None);
        }
    }
}

impl State {
    pub(crate) fn new() -> Self {
        Self { circuit: Circuit::new(), pace: Pace::new(), bulkhead: Bulkhead::default() }
    }

    /// Whether the breaker of `site` lets an attempt in; `Ok(None)` where the policy has none.
    pub(crate) fn breaker(&self, site: &'static Site, policy: &Policy, now: Tick) -> Result<Option<Permit<'_>>, Open> {
        if policy.breaker.value.is_none() {
            return Ok(None);
        }
        let permit = self.circuit.admit(now)?;
        if permit.is_probe() {
            changed(site, Phase::HalfOpen);
        }
        Ok(Some(permit))
    }

    /// When the rate limit in force lets an attempt start; that of the call's own policy, where there is none in force any more.
    pub(crate) fn rate(&self, site: &'static Site, policy: &Policy, now: Tick) -> Turn<'_> {
        let Some(own) = &policy.rate_limit.value else { return Turn::Ready };
        let in_force = policy::of(site);
        self.pace.reserve(in_force.rate_limit.value.as_ref().unwrap_or(own), now)
    }

    /// Waits for a seat in the bulkhead; `None` where the call's policy has none. It is as large as the policies in force say.
    pub(crate) async fn enter(&self, site: &'static Site, policy: &Policy) -> Option<Seat> {
        let own = policy.concurrency.value?;
        self.resize(site, Some(own));
        Some(self.bulkhead.enter().await)
    }

    /// `own`: what the policy of a call says, for where those in force say nothing.
    fn resize(&self, site: &'static Site, own: Option<u32>) {
        if self.bulkhead.is_ruled_by(policy::edition()) {
            return;
        }
        let (in_force, edition) = policy::of_edition(site);
        if let Some(size) = in_force.concurrency.value.or(own) {
            self.bulkhead.resize(size, edition);
        }
    }

    /// Tells the breaker how an attempt ended.
    pub(crate) fn settle(&self, site: &'static Site, policy: &Policy, permit: Option<Permit<'_>>, succeeded: bool, now: Tick) {
        let change = match (permit, &policy.breaker.value) {
            (Some(permit), _) if succeeded => permit.success(),
            (Some(permit), Some(rule)) => permit.failure(rule, now),
            _ => None,
        };
        if let Some(phase) = change {
            changed(site, phase);
            // The call may have begun under policies that are not in force any more.
            self.close_without_breaker(site);
        }
    }

    /// A breaker that policies take away is not open for ever: nobody would ask it again.
    fn close_without_breaker(&self, site: &'static Site) {
        let in_force = policy::of(site);
        if (in_force.breaker.value.is_none() || !in_force.enabled.value) && self.circuit.close() {
            changed(site, Phase::Closed);
        }
    }
}

fn changed(site: &'static Site, phase: Phase) {
    observe::event(&Event::BreakerChanged { site, state: phase as u8 });
}
