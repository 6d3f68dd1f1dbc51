//! The tokio runtimes that guarded calls are polled in, so that the watchdog can ask whether they are alive.
//!
//! A runtime is known from the first guarded call that is polled in it, or from [`watch_runtime`](crate::watch_runtime) on, until it is dropped. A handle keeps
//! neither a worker nor a task of it alive.

mod state;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::runtime::{Handle, Id, RuntimeFlavor, RuntimeMetrics};

use super::polls::polls;
use super::probe::Probe;
use super::table::views;
use super::{here, lane};

pub(crate) use state::is_parked;
pub use state::{GuardedPoll, RuntimeState, runtimes};

/// Runtimes that are watched at one time; further ones are not.
pub(crate) const KNOWN: usize = 64;

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::thread;
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
}
