//! The future of a guarded call that is made once.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::call::Call;
use super::first::{self, Begun};
use super::returned::Returns;
use super::waiting::Waiting;
use crate::site::Site;

pin_project! {
    /// The future of [`call`](super::call).
    #[must_use = "futures do nothing unless polled"]
    pub struct Guarded<F, S> {
        stage: Stage,
        returns: S,
        #[pin]
        body: F,
    }

    impl<F, S> PinnedDrop for Guarded<F, S> {
        fn drop(this: Pin<&mut Self>) {
            let stage = this.project().stage;
            if matches!(stage, Stage::Waiting(_))
                && let Stage::Waiting(waiting) = std::mem::replace(stage, Stage::Off)
            {
                waiting.left();
            }
        }
    }
}

enum Stage {
    /// Not polled yet: nothing has begun, no limit runs.
    New(&'static Site),
    /// Without layers: the body has been polled, and waits.
    Waiting(Waiting),
    /// Layers around the body.
    Layered(Box<Call>),
    /// The call is over, or its guard is switched off.
    Off,
}

impl<F, S> Guarded<F, S> {
    pub(super) fn new(site: &'static Site, returns: S, body: F) -> Self {
        Self { stage: Stage::New(site), returns, body }
    }
}

impl<F: Future, S: Returns<F::Output>> Future for Guarded<F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        loop {
            match this.stage {
                Stage::New(site) => {
                    let first = match first::quickly(site).map_or_else(|| first::closely(site), Begun::Plain) {
                        Begun::Plain(first) => first,
                        Begun::Layered(call) => {
                            *this.stage = Stage::Layered(call);
                            continue;
                        }
                        Begun::Off => {
                            *this.stage = Stage::Off;
                            continue;
                        }
                    };
                    return match this.body.poll(cx) {
                        Poll::Ready(returned) => Poll::Ready(first.end(*this.returns, returned)),
                        Poll::Pending => {
                            *this.stage = first.waits(cx.waker()).map_or(Stage::Off, Stage::Waiting);
                            Poll::Pending
                        }
                    };
                }
                Stage::Waiting(waiting) => {
                    let ended = std::task::ready!(waiting.poll(this.body.as_mut(), cx));
                    let Stage::Waiting(waiting) = std::mem::replace(this.stage, Stage::Off) else { continue };
                    return Poll::Ready(waiting.end(*this.returns, ended));
                }
                Stage::Layered(call) => {
                    let returned = std::task::ready!(call.poll(*this.returns, this.body.as_mut(), cx));
                    *this.stage = Stage::Off;
                    return Poll::Ready(returned);
                }
                Stage::Off => return this.body.poll(cx),
            }
        }
    }
}
