//! A task that does nothing: whether it runs tells whether its runtime does. The watchdog asks for it; somebody else sends it, because tokio
//! takes a task from the heap.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::*};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

const NONE: u8 = 0;
const ASKED: u8 = 1;
const WAITING: u8 = 2;
const RAN: u8 = 3;
const GONE: u8 = 4;

/// The probe of one runtime.
#[derive(Default)]
pub(crate) struct Probe(Arc<AtomicU8>);

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody has sent it yet.
    Asked,
    /// No worker has taken it yet.
    Waiting,
    /// A worker ran it.
    Ran,
    /// It was dropped without being run: the runtime shuts down.
    Gone,
}

impl Probe {
    /// Wants one to be sent.
    pub(crate) fn ask(&self) {
        self.0.store(ASKED, Release);
    }

    /// Spawns it from outside. tokio takes two short locks of its own for it, under which no code of the application runs.
    pub(super) fn send(&self, runtime: &Handle) {
        if self.0.compare_exchange(ASKED, WAITING, AcqRel, Relaxed).is_ok() {
            drop(runtime.spawn(Task(Arc::clone(&self.0))));
        }
    }

    /// What became of it; `None` where none was wanted.
    pub(crate) fn fate(&self) -> Option<Fate> {
        match self.0.load(Acquire) {
            NONE => None,
            ASKED => Some(Fate::Asked),
            WAITING => Some(Fate::Waiting),
            RAN => Some(Fate::Ran),
            _ => Some(Fate::Gone),
        }
    }

    /// It has served.
    pub(crate) fn forget(&self) {
        self.0.store(NONE, Release);
    }
}

struct Task(Arc<AtomicU8>);

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let _ = self.0.compare_exchange(WAITING, RAN, AcqRel, Acquire);
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

    fn sent(runtime: &Handle) -> Probe {
        let probe = Probe::default();
        probe.send(runtime);
        assert_eq!(probe.fate(), None, "nobody has asked");
        probe.ask();
        assert_eq!(probe.fate(), Some(Fate::Asked));
        probe.send(runtime);
        probe
    }

    #[test]
    fn a_probe_runs_when_its_runtime_does() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let probe = sent(runtime.handle());
        assert_eq!(probe.fate(), Some(Fate::Waiting));
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(probe.fate(), Some(Fate::Ran));
        probe.forget();
        assert_eq!(probe.fate(), None);
    }

    #[test]
    fn a_probe_is_gone_when_its_runtime_is() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        let waiting = sent(&handle);
        drop(runtime);
        assert_eq!(waiting.fate(), Some(Fate::Gone));
        assert_eq!(sent(&handle).fate(), Some(Fate::Gone));
    }
}
