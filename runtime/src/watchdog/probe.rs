//! A task that does nothing: whether it runs tells whether its runtime does.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::*};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use crate::clock::Tick;

const WAITING: u8 = 0;
const RAN: u8 = 1;
const GONE: u8 = 2;

/// A probe on its way.
pub(super) struct Probe {
    state: Arc<AtomicU8>,
    sent: Tick,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// No worker has taken it yet.
    Waiting,
    /// A worker ran it.
    Ran,
    /// It was dropped without being run: the runtime shuts down.
    Gone,
}

impl Probe {
    /// Spawns one from outside. tokio takes two short locks of its own for it, under which no code of the application runs.
    pub(super) fn send(runtime: &Handle, now: Tick) -> Self {
        let state = Arc::new(AtomicU8::new(WAITING));
        drop(runtime.spawn(Task(Arc::clone(&state))));
        Self { state, sent: now }
    }

    pub(super) fn fate(&self) -> Fate {
        match self.state.load(Acquire) {
            WAITING => Fate::Waiting,
            RAN => Fate::Ran,
            _ => Fate::Gone,
        }
    }

    pub(super) fn sent(&self) -> Tick {
        self.sent
    }

    /// Counts its time from `now` on.
    pub(super) fn restart(&mut self, now: Tick) {
        self.sent = now;
    }
}

struct Task(Arc<AtomicU8>);

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.store(RAN, Release);
        Poll::Ready(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = self.0.compare_exchange(WAITING, GONE, AcqRel, Acquire);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    #[test]
    fn a_probe_runs_when_its_runtime_does() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let probe = Probe::send(runtime.handle(), Tick::now());
        assert_eq!(probe.fate(), Fate::Waiting);
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(probe.fate(), Fate::Ran);
    }

    #[test]
    fn a_probe_is_gone_when_its_runtime_is() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        let waiting = Probe::send(&handle, Tick::now());
        drop(runtime);
        assert_eq!(waiting.fate(), Fate::Gone);
        assert_eq!(Probe::send(&handle, Tick::now()).fate(), Fate::Gone);
    }
}
