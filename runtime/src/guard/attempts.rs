//! A call that may run its body more than once.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;

use super::call::Call;
use super::first;
use super::returned::Returns;
use crate::clock::Tick;
use crate::outcome::Outcome;
use crate::site::Site;
use crate::watchdog;

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
    Attempts { site, stage: Stage::New }
}

/// The attempts of one call.
pub struct Attempts {
    site: &'static Site,
    stage: Stage,
}

enum Stage {
    New,
    /// The policy switches the guard off.
    Off,
    /// The next attempt begins then.
    Due(Box<Call>, Tick),
}

impl Attempts {
    /// Runs one attempt, after the pause that the policy puts before it. `Break` ends the call with its value, `Continue` asks for the
    /// next attempt.
    pub async fn run<F, S>(&mut self, returns: S, body: F) -> ControlFlow<F::Output>
    where
        F: Future,
        S: Returns<F::Output>,
    {
        let (mut call, due) = match self.take() {
            Stage::Due(call, due) => (call, due),
            Stage::New | Stage::Off => return ControlFlow::Break(body.await),
        };
        watchdog::sleep_until(call.clock, due).await;
        let (returned, outcome) = match poll_fn(|cx| call.poll_admission(cx)).await {
            Err(refused) => call.refuse(returns, refused),
            Ok(()) => {
                call.begin_attempt();
                let mut body = pin!(body);
                let end = poll_fn(|cx| call.poll_attempt(body.as_mut(), cx)).await;
                call.conclude(returns, end)
            }
        };
        if let Some(due) = call.another(outcome) {
            if outcome != Outcome::Rejected {
                call.before = returns.into_source(returned).map(Arc::from);
            }
            self.stage = Stage::Due(call, due);
            return ControlFlow::Continue(());
        }
        call.settle(outcome);
        ControlFlow::Break(returned)
    }

    /// The call between two attempts; the first one is due at once.
    fn take(&mut self) -> Stage {
        match std::mem::replace(&mut self.stage, Stage::Off) {
            Stage::New => first::begin_layered(self.site).map_or(Stage::Off, |call| Stage::Due(call, Tick::default())),
            stage => stage,
        }
    }
}
