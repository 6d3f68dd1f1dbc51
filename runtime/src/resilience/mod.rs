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
//!         match state.rate(&policy, now) {
//!             Turn::Ready => {}
//!             Turn::Wait(slot) => { sleep_until(slot.at()).await; slot.take() }
//!             Turn::Refused => break 'attempt Failure::Rejected,
//!         }
//!         // The limit of the attempt starts here; the wait for a seat is part of it.
//!         let _seat = state.enter(&policy).await;
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
//! State outlives policies: a reload changes limits, not what a breaker has learned.

pub(crate) mod breaker;
pub(crate) mod concurrency;
pub(crate) mod rate;
pub(crate) mod retry;

use std::sync::OnceLock;

use breaker::{Circuit, Open, Permit, Phase};
use concurrency::{Bulkhead, Seat};
use rate::{Pace, Turn};

use crate::clock::Tick;
use crate::event::Event;
use crate::observe;
use crate::policy::Policy;
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
    static STATES: OnceLock<Box<[OnceLock<State>]>> = OnceLock::new();
    let needed = policy.breaker.value.is_some() || policy.rate_limit.value.is_some() || policy.concurrency.value.is_some();
    if !needed {
        return None;
    }
    let states = STATES.get_or_init(|| sites().iter().map(|_| OnceLock::new()).collect());
    Some(states.get(site.id())?.get_or_init(State::new))
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

    /// When the rate limit lets an attempt start.
    pub(crate) fn rate(&self, policy: &Policy, now: Tick) -> Turn<'_> {
        policy.rate_limit.value.as_ref().map_or(Turn::Ready, |rule| self.pace.reserve(rule, now))
    }

    /// Waits for a seat in the bulkhead; `None` where the policy has none.
    pub(crate) async fn enter(&self, policy: &Policy) -> Option<Seat> {
        match policy.concurrency.value {
            Some(size) => Some(self.bulkhead.enter(size).await),
            None => None,
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
        }
    }
}

fn changed(site: &'static Site, phase: Phase) {
    observe::event(&Event::BreakerChanged { site, state: phase as u8 });
}
