//! What stands between a call and its body: breaker and rate limit before an attempt begins, bulkhead and injected faults inside its limit.

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

/// What happens inside the limit before the body runs; made only where there is something to wait for.
pub(super) type Prelude = Boxed<Result<Option<Seat>, Refusal>>;

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
        let total = self.total_at();
        let (site, policy, clock) = (self.site, self.policy, self.clock);
        let admission = self.admission.get_or_insert_with(|| Box::pin(admit(site, policy, state, clock, total)));
        let admitted = std::task::ready!(admission.as_mut().poll(cx));
        self.admission = None;
        Poll::Ready(admitted.map(|permit| self.permit = permit))
    }

    /// What the attempt that begins has to pass before its body.
    pub(super) fn prelude(&self) -> Option<Prelude> {
        let bulkhead = self.state.filter(|_| self.policy.concurrency.value.is_some());
        #[cfg(feature = "inject")]
        let fault = crate::inject::before(self.site);
        #[cfg(not(feature = "inject"))]
        let fault = None::<std::convert::Infallible>;
        if bulkhead.is_none() && fault.is_none() {
            return None;
        }
        let (site, policy, clock) = (self.site, self.policy, self.clock);
        Some(Box::pin(async move {
            let seat = match bulkhead {
                Some(state) => {
                    let _queued = Queued::begin(site);
                    state.enter(policy).await
                }
                None => None,
            };
            #[cfg(feature = "inject")]
            if let Some(fault) = fault {
                fault.run(clock.now(), |until| watchdog::sleep_until(clock, until)).await?;
            }
            #[cfg(not(feature = "inject"))]
            let _ = (clock, fault);
            Ok(seat)
        }))
    }
}

async fn admit(
    site: &'static Site,
    policy: &'static Policy,
    state: &'static State,
    clock: Clock,
    total: Tick,
) -> Result<Option<Permit<'static>>, Rejection> {
    let permit = state.breaker(site, policy, clock.now()).map_err(|_| Rejection::BreakerOpen)?;
    match state.rate(policy, clock.now()) {
        Turn::Ready => {}
        // A turn that comes after the whole call's limit is none: better refused now than timed out then.
        Turn::Wait(slot) if slot.at() < total => {
            let _queued = Queued::begin(site);
            watchdog::sleep_until(clock, slot.at()).await;
            slot.take();
        }
        Turn::Wait(_) | Turn::Refused => return Err(Rejection::RateLimited),
    }
    Ok(permit)
}
