//! When something is first due among many calls: lowered by whoever comes, found anew by whoever looks. A note about many notes works likewise:
//! what is seen there are the notes below.

use std::sync::atomic::Ordering::*;

use super::sync::{AtomicU64, fence};

/// Nothing is due before.
pub(crate) struct Due(AtomicU64);

impl Due {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// Something that can be seen already is due then. Without `soon` a visit at this very moment may miss it, as it may miss the note: who
    /// visits comes again at the next look, and sees it then. Whether that is earlier than what was noted.
    #[inline]
    pub(crate) fn expect(&self, due: u64, soon: bool) -> bool {
        if soon {
            // Either we see that a visit has begun, or the visit sees what is due.
            fence(SeqCst);
        }
        let earlier = due < self.0.load(Relaxed);
        if earlier {
            self.0.fetch_min(due, SeqCst);
        }
        earlier
    }

    /// Looks at everything; `look` gives when something is due next.
    pub(crate) fn visit(&self, look: impl FnOnce() -> Option<u64>) {
        self.0.swap(u64::MAX, SeqCst);
        fence(SeqCst);
        if let Some(next) = look() {
            self.0.fetch_min(next, SeqCst);
        }
    }

    pub(crate) fn at(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
