//! What has happened to one annotated function, as plain atomics.
//!
//! One [`Tally`] a site, in a table that is allocated once and indexed by the site's id. Writers never wait; readers see each number
//! on its own, so two numbers of one moment may be a call apart. Calls are counted in shards, most of them by one thread each; the
//! number of good calls is that of the measured ones less those that ended otherwise.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

use super::buckets;
use super::names::{DEVICE_CLASSES, DEVICES};
pub(crate) use super::shard::Shard;
use super::shard::nanos;
use crate::clock::Tick;
use crate::incident::{IncidentKind, SEVERITIES};
use crate::outcome::Outcome;
use crate::policy::Severity;
use crate::shelf::Shelf;
use crate::site::{Site, sites};

/// The counters of one site.
pub(crate) struct Tally {
    /// Of calls that any thread counts.
    shared: Shard,
    /// Of those that one thread counts for itself.
    shards: Shelf<Box<Shard>>,
    pub(crate) retries: AtomicU64,
    pub(crate) blocked_polls: AtomicU64,
    /// Calls of `fallback = path`.
    pub(crate) fallbacks: AtomicU64,
    device_fallbacks: [[AtomicU64; DEVICE_CLASSES.len()]; DEVICES.len()],
    /// 0 device, 1 CPU.
    pub(crate) route: AtomicU64,
    /// 0 closed, 1 open, 2 half-open.
    pub(crate) breaker: AtomicU64,
    orphaned: AtomicU64,
    orphans_ended: AtomicU64,
    incidents: [[AtomicU64; SEVERITIES.len()]; IncidentKind::ALL.len()],
}

/// A reading of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Durations {
    pub(crate) calls: u64,
    pub(crate) nanos: u64,
}

/// Counters of `site` for one thread alone: only the thread that asks may write them.
pub(crate) fn shard(site: &'static Site) -> &'static Shard {
    static FULL: Shard = Shard::new();
    of(site).and_then(|tally| tally.shards.add(|_| Box::new(Shard::new()))).map_or(&FULL, |shard| &**shard)
}

/// The bucket that a duration in nanoseconds belongs to.
pub(crate) fn bucket(nanos: u64) -> u32 {
    u32::try_from(buckets::index(nanos)).unwrap_or(0)
}

/// The tally of a site; `None` for a site that no attribute made.
pub(crate) fn of(site: &'static Site) -> Option<&'static Tally> {
    static TALLIES: OnceLock<Box<[Tally]>> = OnceLock::new();
    TALLIES.get_or_init(|| sites().iter().map(|_| Tally::new()).collect()).get(site.id())
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            shared: Shard::new(),
            shards: Shelf::new(),
            retries: AtomicU64::new(0),
            blocked_polls: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            device_fallbacks: Default::default(),
            route: AtomicU64::new(0),
            breaker: AtomicU64::new(0),
            orphaned: AtomicU64::new(0),
            orphans_ended: AtomicU64::new(0),
            incidents: Default::default(),
        }
    }

    /// An attempt began; the first one opens a call.
    pub(crate) fn start(&self, at: Tick, attempt: u32) {
        if attempt <= 1 {
            self.shared.started.fetch_add(1, Relaxed);
        }
        self.shared.last_started.store(at.as_nanos(), Relaxed);
    }

    /// A call ended. Refused calls are not measured: they would hide slow calls behind fast refusals. Gives back when the one
    /// before it ended.
    pub(crate) fn finish(&self, at: Tick, outcome: Outcome, elapsed: Duration) -> Tick {
        self.shared.finish(at, outcome, nanos(elapsed))
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        std::iter::once(&self.shared).chain(self.shards.iter().map(|shard| &**shard))
    }

    fn sum(&self, count: impl Fn(&Shard) -> u64) -> u64 {
        self.shards().map(count).fold(0, u64::wrapping_add)
    }

    pub(crate) fn device_fallback(&self, device: &str, class: &str) {
        self.device_fallbacks[position(&DEVICES, device)][position(&DEVICE_CLASSES, class)].fetch_add(1, Relaxed);
    }

    pub(crate) fn orphaned(&self) {
        self.orphaned.fetch_add(1, Relaxed);
    }

    pub(crate) fn orphan_ended(&self) {
        self.orphans_ended.fetch_add(1, Relaxed);
    }

    pub(crate) fn incident(&self, kind: IncidentKind, severity: Severity) {
        self.incidents[kind as usize][severity as usize].fetch_add(1, Relaxed);
    }

    /// How many calls ended this way.
    pub(crate) fn outcome(&self, outcome: Outcome) -> u64 {
        if outcome != Outcome::Ok {
            return self.sum(|shard| shard.outcomes[outcome as usize].load(Relaxed));
        }
        // The measured ones are read first: a call that ends badly in between never counts as a good one.
        let measured = self.measured();
        let otherwise = Outcome::ALL.into_iter().filter(|outcome| !matches!(outcome, Outcome::Ok | Outcome::Rejected));
        measured.saturating_sub(otherwise.map(|outcome| self.outcome(outcome)).sum())
    }

    /// How many calls ended.
    pub(crate) fn finished(&self) -> u64 {
        self.measured() + self.outcome(Outcome::Rejected)
    }

    fn measured(&self) -> u64 {
        self.sum(|shard| shard.durations.iter().map(|bucket| bucket.calls.load(Acquire)).sum())
    }

    /// How many calls run now.
    pub(crate) fn in_flight(&self) -> u64 {
        // The ends are read first: a call that ends in between counts as running, never as less than none.
        let finished = self.finished();
        self.sum(|shard| shard.started.load(Relaxed)).saturating_sub(finished)
    }

    /// The calls of one bucket of durations.
    pub(crate) fn durations(&self, bucket: usize) -> Durations {
        let calls = self.sum(|shard| shard.durations[bucket].calls.load(Acquire));
        Durations { calls, nanos: self.sum(|shard| shard.durations[bucket].nanos.load(Relaxed)) }
    }

    /// The longest call that ended.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.latest(|shard| &shard.longest))
    }

    /// When an attempt began last; `None` where none did.
    pub(crate) fn last_started(&self) -> Option<Tick> {
        seen(self.latest(|shard| &shard.last_started))
    }

    /// When a call ended last; `None` where none did.
    pub(crate) fn last_finished(&self) -> Option<Tick> {
        seen(self.latest(|shard| &shard.last_finished))
    }

    fn latest(&self, of: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.shards().map(|shard| of(shard).load(Relaxed)).max().unwrap_or(0)
    }

    /// Device fallbacks by position in [`DEVICES`] and [`DEVICE_CLASSES`].
    pub(crate) fn device_fallbacks(&self, device: usize, class: usize) -> u64 {
        self.device_fallbacks[device][class].load(Relaxed)
    }

    /// Bodies that have outlived their caller and still run.
    pub(crate) fn orphans(&self) -> u64 {
        let ended = self.orphans_ended.load(Relaxed);
        self.orphaned.load(Relaxed).saturating_sub(ended)
    }

    /// How many incidents of one kind had one severity.
    pub(crate) fn incidents(&self, kind: IncidentKind, severity: Severity) -> u64 {
        self.incidents[kind as usize][severity as usize].load(Relaxed)
    }
}

fn seen(nanos: u64) -> Option<Tick> {
    (nanos != 0).then(|| Tick::from_nanos(nanos))
}

/// Where a label stands in its list; the last entry stands for all others.
fn position(list: &[&str], label: &str) -> usize {
    list.iter().position(|entry| *entry == label).unwrap_or(list.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_three_attempts_is_one_call_in_flight() {
        let tally = Tally::new();
        for attempt in 1..=3 {
            tally.start(Tick::from_nanos(5), attempt);
        }
        assert_eq!(tally.in_flight(), 1);
        tally.finish(Tick::from_nanos(9), Outcome::Ok, Duration::from_millis(3));
        assert_eq!((tally.in_flight(), tally.outcome(Outcome::Ok)), (0, 1));
        assert_eq!(tally.last_finished(), Some(Tick::from_nanos(9)));
    }

    #[test]
    fn every_outcome_is_counted_once() {
        let tally = Tally::new();
        for (outcome, times) in Outcome::ALL.into_iter().zip(1..) {
            for _ in 0..times {
                tally.start(Tick::from_nanos(1), 1);
                tally.finish(Tick::from_nanos(2), outcome, Duration::from_millis(7));
            }
        }
        assert_eq!(Outcome::ALL.map(|outcome| tally.outcome(outcome)), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((tally.finished(), tally.in_flight()), (36, 0));
    }

    #[test]
    fn refused_calls_are_counted_but_not_measured() {
        let tally = Tally::new();
        tally.start(Tick::from_nanos(1), 1);
        tally.finish(Tick::from_nanos(2), Outcome::Rejected, Duration::ZERO);
        assert_eq!(tally.outcome(Outcome::Rejected), 1);
        assert_eq!((0..buckets::COUNT).map(|bucket| tally.durations(bucket).calls).sum::<u64>(), 0);
    }

    #[test]
    fn an_unknown_device_class_falls_into_the_last_entry() {
        let tally = Tally::new();
        tally.device_fallback("mps", "made up");
        assert_eq!(tally.device_fallbacks(0, DEVICE_CLASSES.len() - 1), 1);
    }
}
