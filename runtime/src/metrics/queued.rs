//! How many calls of each function wait for their turn: for a rate limit or for a seat. They have been called, and their bodies have not
//! begun.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Tick;
use crate::coarse;
use crate::site::{Site, sites};

/// The queue of one function.
#[derive(Default)]
struct Queue {
    calls: AtomicU64,
    /// When one came last, in nanoseconds.
    last: AtomicU64,
}

fn queue(site: &'static Site) -> Option<&'static Queue> {
    static QUEUES: OnceLock<Box<[Queue]>> = OnceLock::new();
    QUEUES.get_or_init(|| sites().iter().map(|_| Queue::default()).collect()).get(site.id())
}

/// The calls of a function that wait, and when one began to last.
pub(crate) fn of(site: &'static Site) -> (u64, Option<Tick>) {
    let Some(queue) = queue(site) else { return (0, None) };
    let last = queue.last.load(Relaxed);
    (queue.calls.load(Relaxed), (last != 0).then(|| Tick::from_nanos(last)))
}

/// A call waits until this is dropped, however its waiting ends.
#[must_use = "it counts until it is dropped"]
pub(crate) struct Queued(Option<&'static Queue>);

impl Queued {
    pub(crate) fn begin(site: &'static Site) -> Self {
        let queue = queue(site);
        if let Some(queue) = queue {
            queue.calls.fetch_add(1, Relaxed);
            // A few milliseconds are nothing to who reads this.
            let now = coarse::now();
            queue.last.store(if now == 0 { Tick::now().as_nanos() } else { now }, Relaxed);
        }
        Self(queue)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            queue.calls.fetch_sub(1, Relaxed);
        }
    }
}
