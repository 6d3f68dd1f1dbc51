//! One guarded call: the story.

mod again;
mod fallback;
mod isolate;
mod outcome;
mod returned;

pub use again::{Again, again, once};
pub use fallback::{Fallback, or_else};
pub use isolate::isolated;

pub(crate) use outcome::Facts;
pub use outcome::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use returned::{By, Calling, Lifting, Returned, Returns, Value, lift, makes_alone, makes_or_else, reads_alone, reads_or_else};

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
