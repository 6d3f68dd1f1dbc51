//! What stands between a call and its body: breaker and rate limit before an attempt begins, bulkhead and injected faults inside its limit.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::call::Call;
use crate::clock::{Clock, Tick};
use crate::metrics::queued::Queued;
use crate::outcome::Rejection;
use crate::policy::Policy;
use crate::resilience::State;
use crate::resilience::breaker::Permit;
use crate::resilience::concurrency::Seat;
use crate::resilience::rate::Turn;
use crate::site::Site;
use crate::watchdog;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whether an attempt may begin; made only where the policy has a layer to ask.
pub(super) type Admission = Boxed<Result<Option<Permit<'static>>, Rejection>>;

/// The wait for a seat in the bulkhead, inside the limit; made only where there is one.
pub(super) type Line = Boxed<Option<Seat>>;

/// A fault before the body runs, inside the limit; made only where one is injected.
pub(super) type Fault = Boxed<Result<(), Refusal>>;

/// Why a body did not run although its attempt had begun.
#[cfg(feature = "inject")]
pub(super) type Refusal = crate::inject::InjectedError;
/// Without fault injection every body runs.
#[cfg(not(feature = "inject"))]
pub(super) type Refusal = std::convert::Infallible;

impl Call {
    /// Refuses where the function is fenced; else waits until the breaker and the rate limit let the next attempt in.
    pub(super) fn poll_admission(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        if self.policy.fenced.value {
            return Poll::Ready(Err(Rejection::Fenced));
        }
        let Some(state) = self.state else { return Poll::Ready(Ok(())) };
        let end = self.end();
        let (site, policy, clock) = (self.site, self.policy, self.clock);
        let admission = self.admission.get_or_insert_with(|| Box::pin(admit(site, policy, state, clock, end)));
        let admitted = std::task::ready!(admission.as_mut().poll(cx));
        self.admission = None;
        Poll::Ready(admitted.map(|permit| self.permit = permit))
    }

    /// The line that the attempt that begins has to stand in.
    pub(super) fn line(&self) -> Option<Line> {
        let (site, policy, state) = (self.site, self.policy, self.state?);
        policy.concurrency.value?;
        Some(Box::pin(async move {
            let _queued = Queued::begin(site);
            state.enter(site, policy).await
        }))
    }

    /// The fault that is injected into the attempt that begins.
    #[cfg(feature = "inject")]
    pub(super) fn injected_fault(&self) -> Option<Fault> {
        let (fault, clock) = (crate::inject::before(self.site)?, self.clock);
        Some(Box::pin(async move { fault.run(clock.now(), |until| watchdog::sleep_until(clock, until)).await }))
    }

    /// Without fault injection there is none.
    #[cfg(not(feature = "inject"))]
    pub(super) fn injected_fault(&self) -> Option<Fault> {
        None
    }
}

/// Why a body had not begun at the limit of its attempt: the source of that timeout.
#[derive(Debug)]
pub(super) struct InLine(pub(super) u32);

impl fmt::Display for InLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its body had not begun: at `concurrency = {}` it was still in line", self.0)
    }
}

impl Error for InLine {}

async fn admit(
    site: &'static Site,
    policy: &'static Policy,
    state: &'static State,
    clock: Clock,
    end: Tick,
) -> Result<Option<Permit<'static>>, Rejection> {
    let permit = state.breaker(site, policy, clock.now()).map_err(|_| Rejection::BreakerOpen)?;
    match state.rate(site, policy, clock.now()) {
        Turn::Ready => {}
        // A turn that comes after the end of the whole call is none: better refused now than timed out then.
        Turn::Wait(slot) if slot.at() < end => {
            let _queued = Queued::begin(site);
            watchdog::sleep_until(clock, slot.at()).await;
            slot.take();
        }
        Turn::Wait(_) | Turn::Refused => return Err(Rejection::RateLimited),
    }
    Ok(permit)
}
