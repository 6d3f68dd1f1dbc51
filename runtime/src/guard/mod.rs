//! One guarded call: the story.
//!
//! ```text
//! fallback ( total ( retry ( breaker ( rate limit ( attempt limit ( bulkhead ( injection ( body ))))))))
//! ```
//!
//! [`call`] makes one attempt, [`call_again`] as many as the policy allows, [`or_else`] is the fallback around either. `call` (the file) is
//! the call while it runs, `admission` what it must pass, `context` what its body can learn of it, `outcome` how it ends.

mod admission;
mod again;
mod call;
mod cancel;
mod context;
mod deadline;
mod fallback;
mod future;
mod idle;
mod isolate;
mod outcome;
mod returned;

pub use again::{Again, again, once};
pub use cancel::{cancelled, is_cancelled};
pub(crate) use context::Context;
pub use deadline::{Carried, carry, carry_blocking, deadline, remaining};
pub use fallback::{Fallback, or_else};
pub use future::Guarded;
pub use idle::{Hold, beat, beat_with, hold};
pub use isolate::isolated;
pub use outcome::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use returned::{By, Calling, Lifting, Returned, Returns, Value, lift, makes_alone, makes_or_else, reads_alone, reads_or_else};

use std::future::poll_fn;
use std::pin::pin;

use crate::flight;
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

/// Runs `attempt` under the guard of `site`, again after a failure where the policy says so.
pub async fn call_again<A, R, S>(site: &'static Site, returns: S, mut attempt: A) -> R
where
    A: AsyncFnMut() -> R,
    S: Returns<R>,
{
    let Some(mut call) = Call::begin(site) else { return attempt().await };
    loop {
        let (returned, outcome) = match poll_fn(|cx| call.poll_admission(cx)).await {
            Err(refused) => call.refuse(returns, refused),
            Ok(()) => {
                call.begin_attempt();
                let mut body = pin!(attempt());
                let end = poll_fn(|cx| call.poll_attempt(body.as_mut(), cx)).await;
                call.conclude(returns, end)
            }
        };
        let Some(next) = call.another(outcome) else {
            call.settle(outcome);
            return returned;
        };
        drop(returned);
        flight::sleep_until(call.clock, next).await;
    }
}
