//! One guarded call: the story.

mod outcome;
mod returned;

pub(crate) use outcome::Facts;
pub use outcome::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use returned::{Returned, Returns, Value};

use crate::site::Site;

/// Runs `body` under the guard of `site`.
pub async fn call<F, S>(_site: &'static Site, _returns: S, body: F) -> F::Output
where
    F: Future,
    S: Returns<F::Output>,
{
    body.await
}

/// Runs `attempt` under the guard of `site`, more than once where the policy says so.
pub async fn call_again<A, R, S>(_site: &'static Site, _returns: S, mut attempt: A) -> R
where
    A: AsyncFnMut() -> R,
    S: Returns<R>,
{
    attempt().await
}
