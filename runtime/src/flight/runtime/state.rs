//! What is said of a runtime at one moment.

use std::fmt;
use std::time::Duration;

use super::{Runtime, known};
use crate::clock::Tick;
use crate::flight::polls::{Polled, polls};
use crate::flight::thread;
use crate::flight::view::Poll;

/// Guarded polls that a report names for one runtime.
const POLLS: usize = 64;

/// One tokio runtime at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuntimeState {
    /// What [`watch_runtime`](crate::watch_runtime) or tokio's builder called it; else a number in the order of their appearance.
    pub name: &'static str,
    /// `multi_thread` or `current_thread`.
    pub flavor: &'static str,
    /// Its worker threads.
    pub workers: usize,
    /// Those of them that wait for work.
    pub parked: usize,
    /// Its tasks that have not ended.
    pub tasks: usize,
    /// Those of them that wait for any worker, in the queue that all of them share.
    pub queued: usize,
    /// For how long no worker has made progress, where it is stalled.
    pub stalled: Option<Duration>,
    /// Its threads that are inside a guarded call's poll.
    pub polls: Vec<GuardedPoll>,
}

/// A thread that is inside a guarded call's poll.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardedPoll {
    /// The thread's name, or its number.
    pub thread: String,
    /// The innermost guarded function.
    pub function: &'static str,
    /// For how long the watchdog has seen this poll.
    pub elapsed: Duration,
}

/// The tokio runtimes that are watched: those that guarded calls were polled in, and those of [`watch_runtime`](crate::watch_runtime).
///
/// # Examples
///
/// ```
/// for runtime in backstop::runtimes() {
///     println!("{runtime}");
/// }
/// ```
#[must_use]
pub fn runtimes() -> Vec<RuntimeState> {
    known().map(|runtime| runtime.state()).collect()
}

impl Runtime {
    /// Its threads that are inside a guarded call's poll; of nested calls the innermost.
    pub(crate) fn polls(&self, now: Tick) -> Vec<GuardedPoll> {
        let mut last = 0;
        // Thread by thread, the innermost first.
        let innermost = polls().filter(|polled| std::mem::replace(&mut last, polled.poll.thread) != polled.poll.thread);
        let poll = |polled: Polled| {
            let Poll { thread, since } = polled.poll;
            Some(GuardedPoll { thread: thread::name(thread), function: polled.view.site?.name(), elapsed: now.since(since) })
        };
        innermost.filter(|polled| self.has(polled.poll.thread)).filter_map(poll).take(POLLS).collect()
    }

    /// The same of one that is stalled: with who is inside a poll.
    pub(crate) fn stalled(&self, elapsed: Duration, now: Tick) -> RuntimeState {
        RuntimeState { stalled: Some(elapsed), polls: self.polls(now), ..self.state() }
    }

    /// What reports say of it; who is inside a poll is looked up only where it matters.
    pub(crate) fn state(&self) -> RuntimeState {
        let workers = self.metrics.num_workers();
        RuntimeState {
            name: self.name,
            flavor: if self.is_driven() { "current_thread" } else { "multi_thread" },
            workers,
            parked: (0..workers).filter(|worker| is_parked(self.metrics.worker_park_unpark_count(*worker))).count(),
            tasks: self.metrics.num_alive_tasks(),
            queued: self.metrics.global_queue_depth(),
            stalled: None,
            polls: Vec::new(),
        }
    }
}

/// tokio counts each park and each unpark of a worker.
pub(crate) const fn is_parked(park_unpark_count: u64) -> bool {
    park_unpark_count % 2 == 1
}

impl fmt::Display for RuntimeState {
    /// One line for the runtime, one for each thread that is inside a guarded poll.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, flavor, workers, parked, tasks, queued, stalled, polls } = self;
        write!(f, "{name} ({flavor}): {parked} of {workers} workers parked, {tasks} tasks, {queued} queued")?;
        if let Some(stalled) = stalled {
            write!(f, ", no progress for {}", crate::spell::spell(*stalled))?;
        }
        polls
            .iter()
            .try_for_each(|poll| write!(f, "\n  {} is inside `{}` for {}", poll.thread, poll.function, crate::spell::spell(poll.elapsed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_in_a_line_and_one_for_each_poll() {
        let poll = GuardedPoll { thread: "worker-1 (tid 7)".into(), function: "api::fetch", elapsed: Duration::from_secs(6) };
        let state = RuntimeState {
            name: "main",
            flavor: "multi_thread",
            workers: 2,
            parked: 0,
            tasks: 12,
            queued: 3,
            stalled: Some(Duration::from_secs(5)),
            polls: vec![poll],
        };
        assert_eq!(
            state.to_string(),
            "main (multi_thread): 0 of 2 workers parked, 12 tasks, 3 queued, no progress for 5s\n  \
             worker-1 (tid 7) is inside `api::fetch` for 6s"
        );
    }
}
