//! One guarded call: the story.

mod call;
mod cancel;
mod context;
mod deadline;
mod future;
mod idle;
mod isolate;
mod outcome;
mod returned;

pub use cancel::{cancelled, is_cancelled};
pub(crate) use context::Context;
pub use deadline::{Carried, carry, carry_blocking, deadline, remaining};
pub use future::Guarded;
pub use isolate::{Isolated, isolated};
pub use idle::{Hold, beat, beat_with, hold};
pub use outcome::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use returned::{Returned, Returns, Value};

use std::future::poll_fn;
use std::pin::pin;

use crate::site::Site;
use call::Call;

/// Runs `body` once under the guard of `site`.
pub fn call<F, S>(site: &'static Site, returns: S, body: F) -> Guarded<F, S>
where
    F: Future,
    S: Returns<F::Output>,
{
    Guarded::new(site, returns, body)
}

/// Runs `attempt` under the guard of `site`, more than once where the policy says so.
pub async fn call_again<A, R, S>(site: &'static Site, returns: S, mut attempt: A) -> R
where
    A: AsyncFnMut() -> R,
    S: Returns<R>,
{
    let Some(mut call) = Call::begin(site) else { return attempt().await };
    call.begin_attempt();
    let end = {
        let mut body = pin!(attempt());
        poll_fn(|cx| call.poll_attempt(body.as_mut(), cx)).await
    };
    let (returned, outcome) = call.conclude(returns, end);
    call.settle(outcome);
    returned
}
