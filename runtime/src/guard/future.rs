//! The future of a guarded call that is made once.

use std::pin::Pin;
use std::task::{Context, Poll};

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
    /// Waits to be let in.
    Entering(Box<Call>),
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
        let mut this = self.project();
        loop {
            *this.stage = match std::mem::replace(this.stage, Stage::Off) {
                Stage::New => Call::begin(this.site).map_or(Stage::Off, |call| Stage::Entering(Box::new(call))),
                Stage::Off => return this.body.poll(cx),
                Stage::Entering(mut call) => match call.poll_admission(cx) {
                    Poll::Pending => {
                        *this.stage = Stage::Entering(call);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(refused)) => {
                        let (returned, outcome) = call.refuse(*this.returns, refused);
                        call.settle(outcome);
                        return Poll::Ready(returned);
                    }
                    Poll::Ready(Ok(())) => {
                        call.begin_attempt();
                        Stage::Running(call)
                    }
                },
                Stage::Running(mut call) => match call.poll_attempt(this.body.as_mut(), cx) {
                    Poll::Pending => {
                        *this.stage = Stage::Running(call);
                        return Poll::Pending;
                    }
                    Poll::Ready(end) => {
                        let (returned, outcome) = call.conclude(*this.returns, end);
                        call.settle(outcome);
                        return Poll::Ready(returned);
                    }
                },
            };
        }
    }
}
