//! A future that a test polls by hand, and whether it was woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake};

/// See the module.
pub struct Stepped<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl<F: Future> Stepped<F> {
    /// A future that was not polled yet.
    pub fn new(future: F) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    /// Polls it once.
    pub fn poll(&mut self) -> Poll<F::Output> {
        self.woken.0.store(false, SeqCst);
        self.future.as_mut().poll(&mut Context::from_waker(&self.woken.clone().into()))
    }

    /// Whether it was woken since the last poll.
    pub fn is_woken(&self) -> bool {
        self.woken.0.load(SeqCst)
    }

    /// Polls it once; it must be ready.
    pub fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it is pending"),
        }
    }

    /// Polls it once; it must be pending.
    pub fn pending(&mut self) {
        assert!(self.poll().is_pending(), "it is ready");
    }
}
