//! How often the watchdog looks: every few milliseconds while calls come in numbers, and then it keeps the coarse time; else ten times a second,
//! and once while nothing moves that could be found to last too long.

use std::time::Duration;

use crate::clock::Tick;
use crate::coarse::{self, Need};
use crate::flight;

/// The time between two looks at what moves.
pub(super) const REST: Duration = Duration::from_millis(100);
/// The longest time between two looks.
pub(super) const LONG: Duration = Duration::from_secs(1);
/// Ticks after which it is asked whether that is worth while.
const WINDOW: u32 = 25;
/// So many calls of different threads and ticks are.
const WORTH: u32 = WINDOW / 2;

/// See the module.
#[derive(Default)]
pub(super) struct Pace {
    keeps: bool,
    before: Tick,
    ticks: u32,
    seen: u32,
}

impl Pace {
    /// Keeps the coarse time, where that is worth while; the time until the next look, `longest` at most where no call is polled.
    pub(super) fn keep(&mut self, now: Tick, longest: Duration) -> Duration {
        let need = coarse::need();
        self.keeps = if self.keeps { self.goes_on(now) } else { need == Need::Much };
        self.before = now;
        if self.keeps {
            coarse::keep(now);
            return coarse::TICK;
        }
        coarse::rest(now);
        if need == Need::None { longest.clamp(REST, LONG) } else { REST }
    }

    fn goes_on(&mut self, now: Tick) -> bool {
        self.seen += flight::lanes().map(|lane| u32::from(lane.last_call() >= self.before.as_nanos())).sum::<u32>();
        // Looks between two ticks are none.
        self.ticks += u32::from(now.since(self.before) >= coarse::TICK / 2);
        if self.ticks < WINDOW {
            return true;
        }
        let worth = self.seen >= WORTH;
        (self.ticks, self.seen) = (0, 0);
        worth
    }
}
