//! Counts one call of a tensor function, however it ends.

use std::time::Duration;

use crate::clock::Tick;
use crate::coarse;
use crate::event::Event;
use crate::flight::{self, Slot};
use crate::observe;
use crate::outcome::Outcome;
use crate::policy::{self, DevicePolicy};
use crate::site::Site;
use crate::watchdog;

/// An open call; dropped without an outcome it was cancelled, or has panicked.
///
/// One that stays on its thread is counted as a guarded call is that is ready at once: within a tick of the coarse time no clock is read, and
/// it took as long as the one that was measured in this tick.
pub(super) struct Counted {
    site: &'static Site,
    /// Where this thread counts; `None` where the call may end on another.
    slot: Option<&'static Slot>,
    began: Tick,
    exact: bool,
    /// Whether nothing is left to count.
    over: bool,
}

impl Counted {
    /// A call that ends on another thread, perhaps.
    pub(super) fn anywhere(site: &'static Site) -> Self {
        let began = Tick::now();
        observe::event(&Event::Started { site, at: began, attempt: 1 });
        Self { site, slot: None, began, exact: true, over: false }
    }

    /// A call that ends on this thread.
    #[inline]
    pub(super) fn here(site: &'static Site) -> Self {
        let tick = coarse::now();
        match flight::present().and_then(|here| here.slot(site)).filter(|slot| slot.knows(tick)) {
            Some(slot) => {
                slot.calls.start_alone();
                Self { site, slot: Some(slot), began: Tick::from_nanos(tick), exact: false, over: false }
            }
            None => Self::closely(site, tick),
        }
    }

    /// The first call of a tick.
    #[cold]
    #[inline(never)]
    fn closely(site: &'static Site, tick: u64) -> Self {
        watchdog::start();
        let slot = flight::here().and_then(|here| Some((here, here.slot_or_new(site)?)));
        let known = slot.and_then(|(here, slot)| Some((here, slot, slot.look_up(site)?)));
        let Some((here, slot, plan)) = known else { return Self::anywhere(site) };
        if tick == 0 {
            coarse::missed();
        }
        let began = Tick::now();
        here.called(began);
        slot.trust(plan, tick, !observe::each_is_told());
        observe::began(site, slot.calls, began);
        Self { site, slot: Some(slot), began, exact: true, over: false }
    }

    /// What applies to the call, where that is out of the ordinary: as the call began, so no table is looked into for the others.
    #[inline]
    pub(super) fn special(&self) -> Option<DevicePolicy> {
        if self.slot.is_some_and(Slot::plain_device) { None } else { special(self.site) }
    }

    /// The call returned.
    #[inline]
    pub(super) fn returned(&mut self, failed: bool) {
        let at = self.began.as_nanos();
        let quickly = |slot: &Slot| !failed && !self.exact && coarse::now() == at && slot.count(at);
        if self.slot.is_some_and(quickly) {
            self.over = true;
        } else {
            self.end(if failed { Outcome::Error } else { Outcome::Ok });
        }
    }

    #[cold]
    #[inline(never)]
    fn end(&mut self, outcome: Outcome) {
        self.over = true;
        let (site, at) = (self.site, Tick::now());
        let most = at.since(self.began);
        let Some(slot) = self.slot else {
            return observe::event(&Event::Finished { site, at, outcome, elapsed: most, attempt: 1 });
        };
        // One that began within a tick took as long as the last measured one, where that can be.
        let least = if self.exact { most } else { most.saturating_sub(coarse::TICK) };
        let elapsed = slot.sample().map_or(most, Duration::from_nanos).clamp(least, most);
        slot.measured(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        observe::ended(site, slot.calls, at, outcome, elapsed);
    }
}

#[cold]
fn special(site: &'static Site) -> Option<DevicePolicy> {
    Some(policy::device(site)).filter(|policy| !policy.is_plain())
}

impl Drop for Counted {
    #[inline]
    fn drop(&mut self) {
        if !self.over {
            self.end(if std::thread::panicking() { Outcome::Panicked } else { Outcome::Cancelled });
        }
    }
}
