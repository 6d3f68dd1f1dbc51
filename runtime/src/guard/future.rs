//! The future of a guarded call that is made once.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::call::Call;
use super::returned::Returns;
use crate::site::Site;

pin_project! {
    /// The future of [`call`](super::call).
    #[must_use = "futures do nothing unless polled"]
    pub struct Guarded<F, S> {
        site: &'static Site,
        returns: S,
        stage: Stage,
        #[pin]
        body: F,
    }
}

enum Stage {
    /// Not polled yet: nothing has begun, no limit runs.
    New,
    /// The policy switches the guard off.
    Off,
    /// The body runs.
    Running(Box<Call>),
}

impl<F, S> Guarded<F, S> {
    pub(super) fn new(site: &'static Site, returns: S, body: F) -> Self {
        Self { site, returns, stage: Stage::New, body }
    }
}

impl<F: Future, S: Returns<F::Output>> Future for Guarded<F, S> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Stage::New = this.stage {
            *this.stage = Call::begin(this.site).map_or(Stage::Off, |mut call| {
                call.begin_attempt();
                Stage::Running(Box::new(call))
            });
        }
        let Stage::Running(call) = this.stage else { return this.body.poll(cx) };
        let end = ready!(call.poll_attempt(this.body, cx));
        let (returned, outcome) = call.conclude(*this.returns, end);
        call.settle(outcome);
        Poll::Ready(returned)
    }
}
