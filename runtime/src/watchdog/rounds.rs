//! What the watchdog looks at besides the table of calls, ten times a second at most: whether it was late itself and why, the host, the
//! runtimes, blocking work that was left, and the reporter, which in turn looks at the watchdog.

use std::time::Duration;

use super::late::Late;
use super::orphans::Orphans;
use super::pace::REST;
use super::runtimes::Runtimes;
use crate::clock::Tick;
use crate::event::Event;
use crate::metrics::beat;
use crate::{flight, host, observe, policy};

/// How often the host is looked at, and threads look which runtime they are in.
const SECOND: Duration = Duration::from_secs(1);
/// How many looks at the host later it is looked again whether a debugger is attached.
const DEBUGGER: usize = 8;

/// What the watchdog remembers from look to look.
pub(super) struct Rounds {
    runtimes: Runtimes,
    late: Late,
    orphans: Orphans,
    files: host::Files,
    debugger: Option<u32>,
    looked: Tick,
    second: Tick,
    seconds: usize,
    calm: bool,
}

impl Rounds {
    /// With all the room that they ever take.
    pub(super) fn new() -> Self {
        Self {
            runtimes: Runtimes::new(),
            late: Late::default(),
            orphans: Orphans::new(),
            files: host::Files::with_room(),
            debugger: None,
            looked: Tick::default(),
            second: Tick::default(),
            seconds: 0,
            calm: false,
        }
    }

    /// The watchdog wakes up: whether it is late is known before the table of calls is judged.
    pub(super) fn begin(&mut self, now: Tick) {
        if let Some(due) = beat::WATCHDOG.wakes(now)
            && let Some((lag, cause)) = host::missed(&mut self.files, due, now)
        {
            self.runtimes.forgive(now);
            self.late.watchdog(lag, cause, self.debugger.or_else(host::debugger), now);
        }
    }

    /// Looks at everything else, where it is time for that.
    pub(super) fn look(&mut self, now: Tick) {
        if now.since(self.looked) < REST {
            return;
        }
        self.looked = now;
        self.orphans.look(now);
        if now.since(self.second) >= SECOND {
            self.second = now;
            self.look_at_the_host(now);
            flight::runtime::look_again();
            self.late.reporter(now);
        }
        self.calm = self.runtimes.look(now);
    }

    /// How long nothing needs to be looked at, unless calls do: a runtime that stalls is noticed a fifth of its time late at most.
    pub(super) fn longest(&self) -> Duration {
        if self.calm && self.orphans.is_empty() { policy::runtime_stalled_after() / 5 } else { REST }
    }

    /// The watchdog sleeps until `due`.
    pub(super) fn rest(&self, due: Tick) {
        beat::WATCHDOG.sleeps(due);
    }

    fn look_at_the_host(&mut self, now: Tick) {
        let slept = host::look(&mut self.files, now, self.seconds);
        // The kernel writes a long page for it: who needs to know it now asks anew.
        let debugger = if self.seconds.is_multiple_of(DEBUGGER) { host::debugger() } else { self.debugger };
        self.seconds = self.seconds.wrapping_add(1);
        if let Some(time) = slept {
            self.runtimes.forgive(now);
            observe::event(&Event::Slept { time });
        }
        if debugger != self.debugger {
            self.debugger = debugger;
            observe::event(&Event::Debugger { pid: debugger });
        }
    }
}
