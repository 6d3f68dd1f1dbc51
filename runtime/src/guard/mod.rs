//! One guarded call: the story.

mod again;
mod fallback;
mod isolate;
mod outcome;
mod returned;

pub use again::{Again, again, once};
pub use fallback::{Fallback, fall_back, settle};
pub use isolate::isolated;

pub(crate) use outcome::Facts;
pub use outcome::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use returned::{By, Calling, Lifting, Returned, Returns, Value, lift, makes_alone, makes_or_else, reads_alone, reads_or_else};

use std::ops::ControlFlow;

use crate::site::Site;

/// Runs `body` under the guard of `site`.
pub async fn call<F, S>(_site: &'static Site, _returns: S, body: F) -> F::Output
where
    F: Future,
    S: Returns<F::Output>,
{
    body.await
}

/// A call under the guard of `site` that may run its body more than once: the expansion makes a new body for each attempt, so that each
/// can borrow the arguments anew.
///
/// ```text
/// let mut attempts = call_again(&SITE);
/// let returned = loop {
///     let body = async { … };
///     if let ControlFlow::Break(returned) = attempts.run(returns, body).await { break returned }
/// };
/// ```
#[must_use]
pub fn call_again(site: &'static Site) -> Attempts {
    Attempts { _site: site }
}

/// The attempts of one call.
pub struct Attempts {
    _site: &'static Site,
}

impl Attempts {
    /// Runs one attempt, after the pause that the policy puts before it. `Break` ends the call with its value, `Continue` asks for the
    /// next attempt.
    pub async fn run<F, S>(&mut self, _returns: S, body: F) -> ControlFlow<F::Output>
    where
        F: Future,
        S: Returns<F::Output>,
    {
        ControlFlow::Break(body.await)
    }
}
