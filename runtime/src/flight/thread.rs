//! The threads that poll guarded calls, by the numbers of their lanes, and what reports call them.

use std::sync::Arc;

use super::here;
use super::lane::{self, Lane};
use crate::text::{Name, Text};

/// A thread that polls guarded calls.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    /// Its name, or how Rust numbers it.
    pub(crate) name: String,
    /// The kernel's number, for procfs; 0 where there is none.
    pub(crate) tid: i32,
}

impl Thread {
    /// The one that runs here.
    pub(super) fn here() -> Arc<Self> {
        Arc::new(Self { name: own_name(), tid: own_tid() })
    }
}

/// The kernel's number of the thread of this number; 0 where there is none.
pub(crate) fn tid(number: u32) -> i32 {
    lane::numbered(number).map_or(0, Lane::tid)
}

/// The number of this thread; 0 where it is being torn down.
pub(crate) fn current() -> u32 {
    here::here().map_or(0, |here| here.number())
}

/// The kernel's numbers of all these threads, where it has such numbers.
pub(crate) fn tids() -> impl Iterator<Item = i32> {
    lane::lanes().map(Lane::tid).filter(|tid| *tid != 0)
}

/// The thread with this number of the kernel.
pub(crate) fn of(tid: i32) -> Option<Arc<Thread>> {
    lane::lanes().find(|lane| tid != 0 && lane.tid() == tid)?.thread()
}

/// What reports call the thread of a number; takes nothing from the heap.
pub(crate) fn label(number: u32) -> Name {
    let label = |thread: Option<&Thread>| match thread {
        Some(Thread { name, tid: 0 }) => Name::of(format_args!("{name}")),
        // The number is worth more than the end of a long name.
        Some(Thread { name, tid }) => Name::of(format_args!("{} (tid {tid})", Text::<60>::from_bytes(name.as_bytes()).as_str())),
        None => Name::of(format_args!("thread {number}")),
    };
    lane::numbered(number).map_or_else(|| label(None), |lane| lane.with_thread(label))
}

/// What reports call the thread of a number.
pub(crate) fn name(number: u32) -> String {
    label(number).as_str().to_owned()
}

fn own_name() -> String {
    let thread = std::thread::current();
    thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned)
}

/// Linux names it in procfs: `PID/task/TID`. Elsewhere there is no such link, and reports go by the name alone.
fn own_tid() -> i32 {
    let link = std::fs::read_link("/proc/thread-self").ok();
    link.and_then(|link| link.file_name()?.to_str()?.parse().ok()).unwrap_or(0)
}
