//! Counts one call of a tensor function, however it ends.

use crate::clock::Tick;
use crate::event::Event;
use crate::observe;
use crate::outcome::Outcome;
use crate::site::Site;

/// An open call; dropped without an outcome it was cancelled, or has panicked.
pub(super) struct Counted {
    site: &'static Site,
    began: Tick,
    outcome: Option<Outcome>,
}

impl Counted {
    pub(super) fn new(site: &'static Site) -> Self {
        let began = Tick::now();
        observe::event(&Event::Started { site, at: began, attempt: 1 });
        Self { site, began, outcome: None }
    }

    /// The call returned.
    pub(super) fn returned(mut self, failed: bool) {
        self.outcome = Some(if failed { Outcome::Error } else { Outcome::Ok });
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let unfinished = if std::thread::panicking() { Outcome::Panicked } else { Outcome::Cancelled };
        let at = Tick::now();
        let outcome = self.outcome.unwrap_or(unfinished);
        observe::event(&Event::Finished { site: self.site, at, outcome, elapsed: at.since(self.began), attempt: 1 });
    }
}
