//! Small numbers for the threads that poll guarded calls, and their names for reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

use arc_swap::ArcSwapOption;

/// Threads that are named at one time; further ones are called `thread 0`.
pub(crate) const NAMED: usize = 1024;
static THREADS: [ArcSwapOption<Thread>; NAMED] = [const { ArcSwapOption::const_empty() }; NAMED];
/// Their kernel numbers, to be read without so much as a reference count.
static TIDS: [AtomicI32; NAMED] = [const { AtomicI32::new(0) }; NAMED];

/// A thread that polls guarded calls.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    /// Its name, or how Rust numbers it.
    pub(crate) name: String,
    /// The kernel's number, for procfs; 0 where there is none.
    pub(crate) tid: i32,
}

/// The number of this thread; 0 where all numbers are taken.
pub(crate) fn current() -> u32 {
    thread_local!(static MINE: Place = Place::claim());
    MINE.try_with(|mine| mine.0).unwrap_or(0)
}

/// The thread of a number.
pub(crate) fn named(number: u32) -> Option<Arc<Thread>> {
    THREADS.get(number as usize)?.load_full()
}

/// The kernel's numbers of all these threads, where it has such numbers.
#[cfg_attr(not(native_stacks), expect(dead_code))]
pub(crate) fn tids() -> impl Iterator<Item = i32> {
    TIDS.iter().map(|tid| tid.load(Relaxed)).filter(|tid| *tid != 0)
}

/// The thread with this number of the kernel.
pub(crate) fn of(tid: i32) -> Option<Arc<Thread>> {
    let number = TIDS.iter().position(|known| tid != 0 && known.load(Relaxed) == tid)?;
    named(u32::try_from(number).ok()?)
}

/// What reports call the thread of a number.
pub(crate) fn name(number: u32) -> String {
    match named(number) {
        Some(thread) if thread.tid != 0 => format!("{} (tid {})", thread.name, thread.tid),
        Some(thread) => thread.name.clone(),
        None => format!("thread {number}"),
    }
}

/// A thread's place in the list, given back when the thread ends.
struct Place(u32);

impl Place {
    fn claim() -> Self {
        static HINT: AtomicU32 = AtomicU32::new(0);
        let this = Arc::new(Thread { name: own_name(), tid: own_tid() });
        let first = HINT.fetch_add(1, Relaxed);
        for step in 0..NAMED as u32 {
            // Number 0 stands for "no number".
            let number = first.wrapping_add(step) % (NAMED as u32 - 1) + 1;
            let empty = None::<Arc<Thread>>;
            if THREADS[number as usize].compare_and_swap(&empty, Some(Arc::clone(&this))).is_none() {
                TIDS[number as usize].store(this.tid, Relaxed);
                return Self(number);
            }
        }
        Self(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0 != 0 {
            TIDS[self.0 as usize].store(0, Relaxed);
            THREADS[self.0 as usize].store(None);
        }
    }
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
