//! How many calls of each function wait for their turn: for a rate limit or for a seat. They have been called, and their bodies have not
//! begun.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::site::{Site, sites};

fn waiting(site: &'static Site) -> Option<&'static AtomicU64> {
    static WAITING: OnceLock<Box<[AtomicU64]>> = OnceLock::new();
    WAITING.get_or_init(|| sites().iter().map(|_| AtomicU64::new(0)).collect()).get(site.id())
}

/// The calls of a function that wait.
pub(crate) fn of(site: &'static Site) -> u64 {
    waiting(site).map_or(0, |waiting| waiting.load(Relaxed))
}

/// A call waits until this is dropped, however its waiting ends.
#[must_use = "it counts until it is dropped"]
pub(crate) struct Queued(Option<&'static AtomicU64>);

impl Queued {
    pub(crate) fn begin(site: &'static Site) -> Self {
        let waiting = waiting(site);
        if let Some(waiting) = waiting {
            waiting.fetch_add(1, Relaxed);
        }
        Self(waiting)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if let Some(waiting) = self.0 {
            waiting.fetch_sub(1, Relaxed);
        }
    }
}
