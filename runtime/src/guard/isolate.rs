//! `isolate`: the body as a task of its own, so that its caller is released even while the body blocks its thread.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::faults::Faults;
use super::{current, seats, waiting};
use crate::clock::{Clock, Tick};
use crate::flight::{self, Entry, LAYERED, Leaving, Limits, PAUSED, Plan, Ticket, Working};
use crate::resilience::concurrency::Seat;
use crate::site::Site;

/// Runs `body` as a task of the tokio runtime that is current at the first poll; where there is none, in place.
///
/// Dropping the future aborts the task. A body that blocks its thread just then is shown as left, for the watchdog to report, until it comes back:
/// an *orphan*. A panic of the body goes on to the caller.
pub fn isolated<F>(site: &'static Site, body: F) -> Isolated<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Isolated { site, stage: Stage::New(Some(Box::pin(body))) }
}

/// The future of [`isolated`].
#[must_use = "futures do nothing unless polled"]
pub struct Isolated<F: Future> {
    site: &'static Site,
    stage: Stage<F>,
}

enum Stage<F: Future> {
    New(Option<Pin<Box<F>>>),
    InPlace(Pin<Box<F>>),
    Task(JoinHandle<F::Output>, Arc<Fate>),
}

impl<F> Isolated<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn spawn(&self, body: Pin<Box<F>>) -> Stage<F> {
        let Ok(runtime) = Handle::try_current() else { return Stage::InPlace(body) };
        let fate = Arc::new(Fate::default());
        let ticket = ticket(self.site);
        fate.call.store(ticket.as_ref().map_or(0, |ticket| ticket.id().number()), Relaxed);
        let task = Task { body, ticket, _seat: seats::share(), faults: Faults::here(), ended: Ended(Arc::clone(&fate)) };
        Stage::Task(runtime.spawn(task), fate)
    }
}

/// A record of its own: the caller's polls end while the body's last.
fn ticket(site: &'static Site) -> Option<Ticket> {
    let terms = current::terms()?;
    let bits = LAYERED | if terms.clock == Clock::Paused { PAUSED } else { 0 };
    let plan = Plan::of(site)?.0.number;
    let ticket = Ticket::here(&Entry { plan, parent: current::call(), started: terms.clock.now(), due: 0, bits })?;
    let limits = Limits { blocked_after: terms.policy.blocked_after.value, ..Limits::NONE };
    ticket.record().limit(&limits, Some(terms), None);
    Some(ticket)
}

impl<F> Future for Isolated<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Stage::New(body) = &mut self.stage
            && let Some(body) = body.take()
        {
            self.stage = self.spawn(body);
        }
        match &mut self.stage {
            Stage::New(_) => Poll::Pending,
            Stage::InPlace(body) => body.as_mut().poll(cx),
            Stage::Task(task, _) => match Pin::new(task).poll(cx) {
                Poll::Ready(Ok(returned)) => Poll::Ready(returned),
                Poll::Ready(Err(error)) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The task's runtime is gone, and the body with it. The caller may live on in another one, until its limit.
                    Err(_) => {
                        self.stage = Stage::New(None);
                        Poll::Pending
                    }
                },
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl<F: Future> Drop for Isolated<F> {
    fn drop(&mut self) {
        if let Stage::Task(task, fate) = &self.stage {
            task.abort();
            fate.leave(self.site);
        }
    }
}

pin_project! {
    struct Task<F> {
        body: Pin<Box<F>>,
        ticket: Option<Ticket>,
        // Taken until the body has come back, also where its caller has left it.
        _seat: Option<Seat>,
        faults: Faults,
        ended: Ended,
    }
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.ticket.as_ref().and_then(|ticket| current::enter(ticket.record(), waiting::now()));
        let record = this.ticket.as_ref().map(Ticket::record);
        if let Some(record) = record {
            record.begin_poll();
        }
        let _polling = Polling::begin(&this.ended.0);
        let polled = this.faults.during(|| this.body.as_mut().poll(cx));
        if let Some(record) = record {
            record.end_poll();
        }
        polled
    }
}

/// What becomes of a task whose caller may leave it.
#[derive(Default)]
struct Fate {
    state: AtomicU8,
    /// The task's own call in the tree.
    call: AtomicU64,
    /// The thread of the poll that lasts.
    thread: AtomicU32,
    /// Shows the body as left. The caller alone touches it before the state is `ORPHAN`, and after that the end alone: nobody waits for it.
    left: Mutex<Option<Working>>,
}

const WAITING: u8 = 0;
const POLLING: u8 = 1;
const ORPHAN: u8 = 2;
const ENDED: u8 = 3;

impl Fate {
    /// The caller leaves; a body that blocks its thread right now is shown as left.
    fn leave(&self, site: &'static Site) {
        if self.state.load(Acquire) != POLLING {
            return;
        }
        let leaving = Leaving { site, call: self.call.load(Relaxed), thread: self.thread.load(Relaxed) };
        self.show(leaving.leave(Tick::now()));
        if self.state.compare_exchange(POLLING, ORPHAN, AcqRel, Acquire).is_err() {
            self.show(None);
        }
    }

    fn show(&self, left: Option<Working>) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }
}

/// A poll of the body, also when it ends by a panic.
struct Polling<'a>(&'a Fate);

impl<'a> Polling<'a> {
    fn begin(fate: &'a Fate) -> Self {
        fate.thread.store(flight::thread::current(), Relaxed);
        // Fails only for an orphan, which stays one.
        let _ = fate.state.compare_exchange(WAITING, POLLING, AcqRel, Acquire);
        Self(fate)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let _ = self.0.state.compare_exchange(POLLING, WAITING, AcqRel, Acquire);
    }
}

/// Notices the task's end, however it ends.
struct Ended(Arc<Fate>);

impl Drop for Ended {
    fn drop(&mut self) {
        if self.0.state.swap(ENDED, AcqRel) == ORPHAN {
            self.0.show(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::time::Duration;

    use futures::FutureExt;
    use futures::executor::block_on;
    use tokio::sync::oneshot;

    use super::isolated;
    use crate::site::Site;

    static SITE: Site = Site::timeout_async("isolated");

    #[tokio::test]
    async fn the_body_runs_as_another_task() {
        let body = isolated(&SITE, async { tokio::task::id() });
        let own = tokio::spawn(async { (tokio::task::id(), body.await) }).await.unwrap();
        assert_ne!(own.0, own.1);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller() {
        let panicked = AssertUnwindSafe(isolated(&SITE, async { panic!("in the body") })).catch_unwind().await;
        let panic: Result<(), _> = panicked;
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"in the body"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_ends_with_its_caller() {
        let (alive, ended) = oneshot::channel::<()>();
        let alive = Arc::new(alive);
        let body = isolated(&SITE, async move {
            let _alive = alive;
            pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::from_secs(1), body).await.is_err());
        assert!(ended.await.is_err(), "the body was dropped");
    }

    #[test]
    fn without_a_runtime_the_body_runs_in_place() {
        assert_eq!(block_on(isolated(&SITE, async { 5 })), 5);
    }
}
