//! CPU time that this process could have used and was not given: by the quota of its control group, by the machine under its virtual one. Both
//! are counters, of which readings are remembered. Pure but for [`Reading::take`].

use std::collections::VecDeque;
use std::time::Duration;

use super::cgroup::{self, Rationed};
use super::procfs::{self, Ticks};
use crate::clock::Tick;

/// A reading that is younger than this is good enough for a report.
pub(super) const FRESH: Duration = Duration::from_millis(100);
/// Of readings that come faster than this, as they do where findings come in numbers, most are forgotten, lest they push out the older ones.
const SPACED: Duration = Duration::from_secs(1);
/// Readings that are remembered: two minutes of them at the least.
const READINGS: usize = 120;

/// The CPU time that the process was not given, though it might have used it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Withheld {
    /// How far back the figures reach: as long as what went wrong, and three seconds more at the most; of what lasted for longer than two
    /// minutes perhaps to its last two minutes only.
    pub window: Duration,
    /// The CPUs that its control group may use at a time; `None` without a quota. The fields up to [`throttled`](Self::throttled) are about
    /// that.
    pub quota: Option<f64>,
    /// Periods of the quota in which the group wanted to run.
    pub periods: u64,
    /// Those of them in which it had used its share up.
    pub throttled_periods: u64,
    /// How long the group's CPUs were kept from it, added up.
    pub throttled: Duration,
    /// Of the time in which the machine's CPUs had work, how much the machine under it gave to others, in percent: steal time.
    pub stolen: Option<f64>,
}

impl Withheld {
    /// Whether the quota was used up in half of the periods or more.
    pub(super) fn is_throttled(&self) -> bool {
        self.throttled_periods > 0 && self.throttled_periods * 2 >= self.periods
    }
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    at: Tick,
    group: Option<Rationed>,
    host: Option<Ticks>,
}

impl Reading {
    pub(super) fn take(now: Tick) -> Self {
        Self { at: now, group: cgroup::rationed(), host: procfs::ticks() }
    }

    fn since(&self, before: &Self) -> Withheld {
        let group = self.group.zip(before.group);
        Withheld {
            window: self.at.since(before.at),
            quota: self.group.map(|group| group.quota),
            periods: group.map_or(0, |(now, then)| now.periods.saturating_sub(then.periods)),
            throttled_periods: group.map_or(0, |(now, then)| now.throttled_periods.saturating_sub(then.throttled_periods)),
            throttled: group.map_or(Duration::ZERO, |(now, then)| now.throttled.saturating_sub(then.throttled)),
            stolen: self.host.zip(before.host).and_then(|(now, then)| now.since(then).stolen_percent()),
        }
    }
}

/// The last readings.
#[derive(Debug)]
pub(super) struct Readings(VecDeque<Reading>);

impl Readings {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Sets aside what it may need: nobody waits for the heap while it is locked.
    pub(super) fn reserve(&mut self) {
        self.0.reserve_exact(READINGS - self.0.len());
    }

    /// Whether there is one that is good enough for a report.
    pub(super) fn are_fresh(&self, now: Tick) -> bool {
        self.0.back().is_some_and(|last| now.since(last.at) < FRESH)
    }

    /// Remembers one.
    pub(super) fn keep(&mut self, reading: Reading) {
        if self.0.iter().rev().nth(1).zip(self.0.back()).is_some_and(|(before, last)| last.at.since(before.at) < SPACED) {
            self.0.pop_back();
        }
        if self.0.len() == READINGS {
            self.0.pop_front();
        }
        self.0.push_back(reading);
    }

    /// What was withheld from `since` on, up to the last reading.
    pub(super) fn withheld(&self, since: Tick) -> Withheld {
        let first = self.0.iter().rev().find(|reading| reading.at <= since).or_else(|| self.0.front());
        first.zip(self.0.back()).map(|(first, last)| last.since(first)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    /// The quota was used up in every second period, and a quarter of the CPUs' work went to others.
    fn reading(second: u64) -> Reading {
        let throttled = Duration::from_secs(second) / 2;
        let group = Rationed { quota: 0.5, periods: 10 * second, throttled_periods: 5 * second, throttled };
        Reading { at: at(second), group: Some(group), host: Some(Ticks { busy: 300 * second, stolen: 100 * second }) }
    }

    #[test]
    fn what_was_withheld_is_counted_from_the_last_reading_before() {
        let mut readings = Readings::new();
        assert_eq!(readings.withheld(at(7)), Withheld::default());
        (0..10).for_each(|second| readings.keep(reading(2 * second)));
        let withheld = readings.withheld(at(7));
        assert_eq!(withheld.window, Duration::from_secs(12), "from the sixth second to the eighteenth");
        assert_eq!((withheld.quota, withheld.periods, withheld.throttled_periods), (Some(0.5), 120, 60));
        assert_eq!((withheld.throttled, withheld.stolen), (Duration::from_secs(6), Some(25.0)));
        assert!(withheld.is_throttled() && !Withheld { throttled_periods: 59, ..withheld }.is_throttled());
        assert!(readings.are_fresh(Tick::from_nanos(18_050_000_000)) && !readings.are_fresh(at(19)));
    }

    #[test]
    fn readings_are_bounded_and_a_group_without_a_quota_is_not_throttled() {
        let mut readings = Readings::new();
        (0..1000).for_each(|second| readings.keep(Reading { group: None, ..reading(second) }));
        let all = readings.withheld(at(0));
        assert_eq!((all.window.as_secs(), all.quota, all.is_throttled()), (READINGS as u64 - 1, None, false));
    }

    #[test]
    fn readings_for_many_findings_push_out_none_of_the_older_ones() {
        let mut readings = Readings::new();
        let tenth = |tenths: u64| Tick::from_nanos(tenths * 100_000_000);
        (0..=1000).for_each(|tenths| readings.keep(Reading { at: tenth(tenths), ..reading(tenths / 10) }));
        let withheld = readings.withheld(tenth(405));
        assert_eq!((withheld.window, withheld.periods), (Duration::from_secs(60), 600), "from the fortieth second to the hundredth");
        assert_eq!(readings.withheld(tenth(995)).window, Duration::from_secs(1));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_host_tells_its_ticks() {
        assert!(Reading::take(Tick::now()).host.unwrap().busy > 0);
    }
}
