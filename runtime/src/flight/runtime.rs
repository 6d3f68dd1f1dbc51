//! The tokio runtimes that guarded calls are polled in, so that the watchdog can ask whether they are alive.
//!
//! A runtime is known from the first guarded call that is polled in it, or from [`watch_runtime`](crate::watch_runtime) on, until it is dropped. A handle keeps
//! neither a worker nor a task of it alive.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::{Handle, Id, RuntimeFlavor, RuntimeMetrics};

use super::polls::{Polled, polls};
use super::probe::Probe;
use super::table::views;
use super::view::Poll;
use super::{here, lane, thread};
use crate::clock::Tick;

/// Runtimes that are watched at one time; further ones are not.
pub(crate) const KNOWN: usize = 64;
/// Guarded polls that a report names for one runtime.
const POLLS: usize = 64;

static RUNTIMES: [ArcSwapOption<Runtime>; KNOWN] = [const { ArcSwapOption::const_empty() }; KNOWN];
/// Grows once a second: threads then look again which runtime they are in.
static LOOK: AtomicU32 = AtomicU32::new(1);

/// A runtime that is watched.
pub(crate) struct Runtime {
    place: usize,
    id: Id,
    name: &'static str,
    handle: Handle,
    metrics: RuntimeMetrics,
    probe: Probe,
}

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

/// Has a runtime watched under this name.
pub(crate) fn watch(handle: &Handle, name: String) {
    match find(handle.id()) {
        Some(known) => RUNTIMES[known.place].store(Some(Arc::new(Runtime::new(known.place, handle, Some(name))))),
        None => _ = enter(handle, Some(name)),
    }
}

/// Makes the runtime that this thread is in known. To be called where a guarded call is polled, off the fastest path: it costs a load and
/// a comparison, but once a second and thread.
#[inline]
pub(crate) fn meet() {
    thread_local!(static MET: Cell<u32> = const { Cell::new(0) });
    let look = LOOK.load(Relaxed);
    // A thread that is being torn down has been met before.
    if MET.try_with(|met| met.replace(look) != look).unwrap_or(false) {
        meet_again();
    }
}

#[cold]
fn meet_again() {
    let place = Handle::try_current().ok().and_then(|handle| match find(handle.id()) {
        Some(known) => Some(known.place),
        None => enter(&handle, None),
    });
    let place = place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0);
    if let Some(here) = here::here() {
        here.runtime.store(place, Relaxed);
    }
}

/// From now on every thread looks again, when it polls a guarded call.
pub(crate) fn look_again() {
    LOOK.fetch_add(1, Relaxed);
}

/// Every runtime that is watched.
pub(crate) fn known() -> impl Iterator<Item = Arc<Runtime>> {
    RUNTIMES.iter().filter_map(ArcSwapOption::load_full)
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

/// The name for as long as the process lives: metrics and reports go on to use it. `None` where there are `most` others already, so that
/// neither memory nor labels grow without bound; numbers have places of their own.
fn kept(name: &str, most: usize) -> Option<&'static str> {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return Some(known);
    }
    if names.len() >= most {
        return None;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(name);
    Some(name)
}

fn find(id: Id) -> Option<Arc<Runtime>> {
    known().find(|runtime| runtime.id == id)
}

/// Takes a runtime into a free place; `None` where there is none.
fn enter(handle: &Handle, name: Option<String>) -> Option<usize> {
    let none = None::<Arc<Runtime>>;
    let place = (0..KNOWN).find(|place| {
        let empty = RUNTIMES[*place].load().is_none();
        empty && RUNTIMES[*place].compare_and_swap(&none, Some(Arc::new(Runtime::new(*place, handle, name.clone())))).is_none()
    })?;
    // Of two threads of one runtime that came at the same time, the first place stays.
    match find(handle.id()) {
        Some(earlier) if earlier.place < place => {
            RUNTIMES[place].store(None);
            Some(earlier.place)
        }
        _ => Some(place),
    }
}

impl Runtime {
    fn new(place: usize, handle: &Handle, name: Option<String>) -> Self {
        let given = || handle.name().map(str::to_owned);
        let number = format!("runtime-{}", place + 1);
        let name = name.or_else(given).and_then(|name| kept(&name, KNOWN)).or_else(|| kept(&number, 2 * KNOWN));
        Self {
            place,
            id: handle.id(),
            name: name.unwrap_or("runtime"),
            handle: handle.clone(),
            metrics: handle.metrics(),
            probe: Probe::default(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Where it stands, among [`KNOWN`] places.
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Sends its probe, if somebody has asked for that.
    pub(crate) fn send_probe(&self) {
        self.probe.send(&self.handle);
    }

    pub(crate) fn metrics(&self) -> &RuntimeMetrics {
        &self.metrics
    }

    /// Whether somebody must call `block_on` for it to run.
    pub(crate) fn is_driven(&self) -> bool {
        self.handle.runtime_flavor() == RuntimeFlavor::CurrentThread
    }

    /// It is gone: lets go of its handle.
    pub(crate) fn forget(&self) {
        RUNTIMES[self.place].store(None);
        for lane in lane::lanes() {
            let mine = u8::try_from(self.place + 1).unwrap_or(0);
            let _ = lane.runtime.compare_exchange(mine, 0, Relaxed, Relaxed);
        }
    }

    /// Whether the thread of this number was last seen polling in it.
    pub(crate) fn has(&self, thread: u32) -> bool {
        lane::numbered(thread).is_some_and(|lane| usize::from(lane.runtime.load(Relaxed)) == self.place + 1)
    }

    /// The numbers of its threads that have polled guarded calls.
    pub(crate) fn threads(&self) -> impl Iterator<Item = u32> {
        lane::lanes().map(|lane| lane.number()).filter(|number| self.has(*number))
    }

    /// Whether a guarded call has been polled in it and has not ended.
    pub(crate) fn has_calls(&self) -> bool {
        views().any(|(_, _, view)| !view.alarm && !view.link && self.has(view.thread))
    }

    /// Whether a thread of it is inside a guarded call's poll.
    pub(crate) fn has_polls(&self) -> bool {
        polls().any(|polled| self.has(polled.poll.thread))
    }

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
    use tokio::runtime::Builder;

    fn names() -> Vec<String> {
        known().map(|runtime| runtime.name().to_owned()).collect()
    }

    #[test]
    fn a_runtime_is_met_by_a_thread_that_is_in_it_and_named_by_its_builder() {
        let runtime = Builder::new_current_thread().name("met-by-poll").build().unwrap();
        runtime.block_on(async { meet() });
        let met = find(runtime.handle().id()).unwrap();
        assert_eq!((met.name(), met.is_driven()), ("met-by-poll", true));
        assert!(met.has(thread::current()));
        met.forget();
        assert!(!met.has(thread::current()) && !names().contains(&"met-by-poll".to_owned()));
    }

    #[test]
    fn a_thread_that_changes_its_runtime_is_noticed_at_the_next_look() {
        let (one, other) = (Builder::new_current_thread().build().unwrap(), Builder::new_current_thread().build().unwrap());
        one.block_on(async { meet() });
        look_again();
        other.block_on(async { meet() });
        let (one, other) = (find(one.handle().id()).unwrap(), find(other.handle().id()).unwrap());
        assert!(!one.has(thread::current()) && other.has(thread::current()));
        one.forget();
        other.forget();
    }

    #[test]
    fn a_name_that_is_given_replaces_the_number() {
        let runtime = Builder::new_current_thread().build().unwrap();
        watch(runtime.handle(), "first".to_owned());
        watch(runtime.handle(), "second".to_owned());
        let known = find(runtime.handle().id()).unwrap();
        assert_eq!(known.name(), "second");
        assert!(!names().contains(&"first".to_owned()));
        known.forget();
    }

    #[test]
    fn threads_of_one_runtime_that_come_at_the_same_time_make_one_entry() {
        let runtime = Builder::new_multi_thread().worker_threads(1).name("crowded").build().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _entered = runtime.enter();
                    meet();
                });
            }
        });
        assert_eq!(names().iter().filter(|name| *name == "crowded").count(), 1);
        find(runtime.handle().id()).unwrap().forget();
    }

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
