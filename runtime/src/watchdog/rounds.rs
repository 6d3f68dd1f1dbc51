//! What the watchdog looks at besides the table of calls: runtimes, ten times a second at most.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::TICK;
use super::runtimes::Runtimes;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight;
use crate::observe;

/// How often threads look again which runtime they are in.
const SECOND: Duration = Duration::from_secs(1);

/// So long without a look is no look's fault.
const LATE: Duration = Duration::from_secs(1);

/// What the watchdog remembers from look to look.
#[derive(Default)]
pub(super) struct Rounds {
    runtimes: Runtimes,
    looked: Tick,
    second: Tick,
}

impl Rounds {
    /// Looks, where a tick has passed since the last time.
    pub(super) fn look(&mut self, now: Tick) {
        if now.since(self.looked) < TICK {
            return;
        }
        // A look is late when the process, or this thread of it, got no time; then nothing else may have had any.
        if now.since(self.looked) >= LATE {
            self.runtimes.forgive(now);
        }
        self.looked = now;
        if now.since(self.second) >= SECOND {
            self.second = now;
            flight::runtime::look_again();
        }
        // Letting go of a dropped runtime may run code of the application, such as a hook's destructor.
        if catch_unwind(AssertUnwindSafe(|| self.runtimes.look(now))).is_err() {
            observe::event(&Event::Dropped { what: "watchdog" });
        }
    }
}
