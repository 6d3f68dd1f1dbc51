//! Records that other threads give back: pushed by anybody, taken whole by the owner, so that no place can come back unnoticed.

use std::sync::atomic::Ordering::*;

use super::sync::AtomicU32;

/// The last one given back, from 1; each names the one before it.
pub(crate) struct Freed(AtomicU32);

impl Freed {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Gives `place` (from 1) back; `link` notes the one before it.
    pub(crate) fn push(&self, place: u32, link: impl Fn(u32)) {
        let mut head = self.0.load(Relaxed);
        loop {
            link(head);
            match self.0.compare_exchange_weak(head, place, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// All of them: the last one, or 0.
    pub(crate) fn take(&self) -> u32 {
        if self.0.load(Relaxed) == 0 { 0 } else { self.0.swap(0, Acquire) }
    }
}
