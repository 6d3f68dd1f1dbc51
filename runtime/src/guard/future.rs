//! The future of a guarded call that is made once.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::first::{self, Begun};
use super::returned::Returns;
use super::stage::{Now, Stage};
use super::waiting;
use crate::site::Sited;

pin_project! {
    /// The future of [`call`](super::call).
    #[must_use = "futures do nothing unless polled"]
    pub struct Guarded<H, F, S> {
        // Before the body, so that a call that is dropped is counted before its body is dropped.
        stage: Stage,
        returns: S,
        #[pin]
        body: F,
        site: PhantomData<fn() -> H>,
    }
}

impl<H, F, S> Guarded<H, F, S> {
    #[inline]
    pub(super) fn new(returns: S, body: F) -> Self {
        Self { stage: Stage::new(), returns, body, site: PhantomData }
    }
}

impl<H: Sited, F: Future, S: Returns<F::Output>> Future for Guarded<H, F, S> {
    type Output = F::Output;

    /// The first poll of a call that goes by what is known, which most calls need no more than. The others are polled elsewhere, so that this
    /// remains short where it is inlined.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.as_mut().project();
        if this.stage.is_new()
            && let Some(first) = first::quickly(H::site())
        {
            this.stage.off();
            let polled = this.body.poll(cx);
            let Poll::Ready(returned) = &polled else {
                this.stage.wait(first.waits(H::site(), cx.waker()));
                return Poll::Pending;
            };
            return match first.quickly(this.returns.failed(returned)) {
                Ok(()) => polled,
                Err(first) => polled.map(|returned| first.end(H::site(), *this.returns, returned)),
            };
        }
        self.poll_on(cx)
    }
}

impl<H: Sited, F: Future, S: Returns<F::Output>> Guarded<H, F, S> {
    #[inline(never)]
    fn poll_on(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.as_mut().project();
        match this.stage.now() {
            Now::Waiting(mut held) => {
                let ended = ready!(waiting::poll(held.record(), this.body, cx));
                Poll::Ready(held.end().end(H::site(), *this.returns, ended))
            }
            Now::New => {
                this.stage.off();
                match first::closely(H::site()) {
                    Begun::Plain(first) => match this.body.poll(cx) {
                        Poll::Ready(returned) => Poll::Ready(first.end(H::site(), *this.returns, returned)),
                        Poll::Pending => {
                            this.stage.wait(first.waits(H::site(), cx.waker()));
                            Poll::Pending
                        }
                    },
                    Begun::Layered(call) => {
                        this.stage.layer(call);
                        self.poll_on(cx)
                    }
                    Begun::Off => this.body.poll(cx),
                }
            }
            Now::Layered(call) => {
                let returned = ready!(call.poll(*this.returns, this.body, cx));
                this.stage.unlayer();
                Poll::Ready(returned)
            }
            Now::Off => this.body.poll(cx),
        }
    }
}
