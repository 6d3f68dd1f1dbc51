//! The flight recorder: the last events, for the report that follows them.
//!
//! Bounded, and without a lock on the writing side. Calls are many, so what they do goes to rings of their own, one for a few threads: those
//! that went well to some, the others and their retries to others. Everything else goes to one ring that no storm of calls can flood. The
//! start of a call is not recorded: its end says how long it took, the call tree shows those that run, and [`progress`] has the last start and
//! the last end of every function.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::ring::{Ring, Words};
use crate::clock::Tick;
use crate::metrics::{process, queued, tally};
use crate::outcome::Outcome;
use crate::site::{Site, sites};

const SHARDS: usize = 16;
const CALLS: usize = 128;
const NOTABLE: usize = 512;

static GOOD_CALLS: [Ring<CALLS>; SHARDS] = [const { Ring::new() }; SHARDS];
static BAD_CALLS: [Ring<CALLS>; SHARDS] = [const { Ring::new() }; SHARDS];
static NOTABLE_RING: Ring<NOTABLE> = Ring::new();

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fact {
    Finished,
    Slow,
    Retrying,
    Rejected,
    BreakerChanged,
    FellBack,
    Blocked,
    Unblocked,
    Orphaned,
    OrphanEnded,
    DeviceFallback,
    DeviceRefused,
    ResultKept,
    DeviceRouted,
    RuntimeStalled,
    PolicyLoaded,
    PolicyRefused,
    Injected,
    Dropped,
    HeldBack,
    Slept,
    Fenced,
}

const FACTS: [Fact; 22] = [
    Fact::Finished,
    Fact::Slow,
    Fact::Retrying,
    Fact::Rejected,
    Fact::BreakerChanged,
    Fact::FellBack,
    Fact::Blocked,
    Fact::Unblocked,
    Fact::Orphaned,
    Fact::OrphanEnded,
    Fact::DeviceFallback,
    Fact::DeviceRefused,
    Fact::ResultKept,
    Fact::DeviceRouted,
    Fact::RuntimeStalled,
    Fact::PolicyLoaded,
    Fact::PolicyRefused,
    Fact::Injected,
    Fact::Dropped,
    Fact::HeldBack,
    Fact::Slept,
    Fact::Fenced,
];

impl Fact {
    /// The word in reports.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Fact::Finished => "finished",
            Fact::Slow => "slow",
            Fact::Retrying => "retrying",
            Fact::Rejected => "rejected",
            Fact::BreakerChanged => "breaker_changed",
            Fact::FellBack => "fell_back",
            Fact::Blocked => "blocked",
            Fact::Unblocked => "unblocked",
            Fact::Orphaned => "orphaned",
            Fact::OrphanEnded => "orphan_ended",
            Fact::DeviceFallback => "device_fallback",
            Fact::DeviceRefused => "device_refused",
            Fact::ResultKept => "result_kept",
            Fact::DeviceRouted => "device_routed",
            Fact::RuntimeStalled => "runtime_stalled",
            Fact::PolicyLoaded => "policy_loaded",
            Fact::PolicyRefused => "policy_refused",
            Fact::Injected => "injected",
            Fact::Dropped => "dropped",
            Fact::HeldBack => "held_back",
            Fact::Slept => "host_slept",
            Fact::Fenced => "fenced",
        }
    }
}

/// One event as the recorder keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) at: Tick,
    pub(crate) fact: Fact,
    /// `None` for events of the process.
    pub(crate) site: Option<&'static Site>,
    /// The attempt, a state, an outcome or a generation, as the fact has it.
    pub(crate) number: u64,
    /// How long it took; zero where the fact has no duration.
    pub(crate) elapsed: Duration,
}

impl Record {
    /// What the number means, in words; empty where it means nothing.
    pub(crate) fn detail(&self) -> String {
        match self.fact {
            Fact::Slow if self.number > 0 => format!("and {} more", self.number),
            Fact::Retrying => format!("attempt {}", self.number),
            Fact::Finished => outcome(self.number).to_owned(),
            Fact::BreakerChanged => ["closed", "open", "half-open"].get(index(self.number)).copied().unwrap_or("").to_owned(),
            Fact::DeviceRouted => (if self.number == 0 { "device" } else { "cpu" }).to_owned(),
            Fact::RuntimeStalled => (if self.number == 0 { "moves again" } else { "stalled" }).to_owned(),
            Fact::Fenced => (if self.number == 0 { "no longer" } else { "calls are refused" }).to_owned(),
            Fact::PolicyLoaded => format!("generation {}", self.number),
            _ => String::new(),
        }
    }

    fn words(&self) -> Words {
        let site = self.site.map_or(u64::from(u32::MAX), |site| site.id() as u64);
        let packed = (site << 8) | self.fact as u64;
        [self.at.as_nanos(), packed, self.number, u64::try_from(self.elapsed.as_nanos()).unwrap_or(u64::MAX)]
    }

    fn from_words([at, packed, number, elapsed]: Words) -> Option<Self> {
        let fact = *FACTS.get(index(packed & 0xff))?;
        let site = sites().get(index(packed >> 8)).copied();
        Some(Self { at: Tick::from_nanos(at), fact, site, number, elapsed: Duration::from_nanos(elapsed) })
    }
}

fn outcome(number: u64) -> &'static str {
    Outcome::ALL.get(index(number)).map_or("", |outcome| outcome.as_str())
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Keeps an event.
pub(crate) fn keep(record: &Record) {
    let words = record.words();
    let kept = match record.fact {
        Fact::Finished if record.number == Outcome::Ok as u64 => GOOD_CALLS[shard()].push(words),
        Fact::Finished | Fact::Slow | Fact::Retrying | Fact::Rejected | Fact::FellBack | Fact::Injected => BAD_CALLS[shard()].push(words),
        _ => NOTABLE_RING.push(words),
    };
    if !kept {
        process::drop_one("record");
    }
}

/// The ring of this thread; threads share rings in turn.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static SHARD: Cell<usize> = const { Cell::new(usize::MAX) });
    // A thread that is being torn down has no cell any more: it writes to the first ring.
    SHARD
        .try_with(|cell| {
            if cell.get() == usize::MAX {
                cell.set(NEXT.fetch_add(1, Relaxed) % SHARDS);
            }
            cell.get()
        })
        .unwrap_or(0)
}

/// The last `count` events, oldest first.
pub(crate) fn last(count: usize) -> Vec<Record> {
    let calls = GOOD_CALLS.iter().chain(&BAD_CALLS).flat_map(Ring::read);
    let mut records: Vec<Record> = calls.chain(NOTABLE_RING.read()).filter_map(Record::from_words).collect();
    records.sort_by_key(|record| record.at);
    records.split_off(records.len().saturating_sub(count))
}

/// How far one function has come: the summary that tells who is behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) site: &'static Site,
    pub(crate) calls: u64,
    pub(crate) in_flight: u64,
    pub(crate) queued: u64,
    pub(crate) last_queued: Option<Tick>,
    pub(crate) last_started: Option<Tick>,
    pub(crate) last_finished: Option<Tick>,
}

/// The progress of every function that was ever called, the one that finished last first.
pub(crate) fn progress() -> Vec<Progress> {
    let mut all: Vec<Progress> = sites().iter().filter_map(|site| progress_of(site)).collect();
    all.sort_by_key(|progress| std::cmp::Reverse(progress.last_finished.max(progress.last_started)));
    all
}

fn progress_of(site: &'static Site) -> Option<Progress> {
    let tally = tally::of(site)?;
    let last_started = Some(tally.last_started()?);
    let (calls, in_flight) = (tally.finished(), tally.in_flight());
    let (queued, last_queued) = queued::of(site);
    Some(Progress { site, calls, in_flight, queued, last_queued, last_started, last_finished: tally.last_finished() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_ring() {
        let record = Record { at: Tick::from_nanos(7), fact: Fact::Retrying, site: None, number: 3, elapsed: Duration::from_millis(2) };
        let back = Record::from_words(record.words()).unwrap();
        assert_eq!((back.at, back.fact, back.number, back.elapsed), (record.at, record.fact, record.number, record.elapsed));
        assert!(back.site.is_none());
        assert_eq!(back.detail(), "attempt 3");
    }

    #[test]
    fn every_fact_is_at_its_own_place() {
        for (place, fact) in FACTS.iter().enumerate() {
            assert_eq!(*fact as usize, place);
        }
    }

    #[test]
    fn calls_cannot_flood_out_notable_events() {
        let of = |fact, outcome: Outcome, nanos| {
            let elapsed = Duration::from_nanos(nanos);
            keep(&Record { at: Tick::now(), fact, site: None, number: outcome as u64, elapsed });
        };
        of(Fact::BreakerChanged, Outcome::Ok, 424_242);
        of(Fact::Finished, Outcome::Timeout, 434_343);
        (0..10_000).for_each(|_| of(Fact::Finished, Outcome::Ok, 0));
        let kept = |nanos| last(usize::MAX).iter().any(|record| record.elapsed == Duration::from_nanos(nanos));
        assert!(kept(424_242) && kept(434_343));
        for _ in 0..10_000 {
            of(Fact::Finished, Outcome::Timeout, 0);
            of(Fact::Rejected, Outcome::Ok, 0);
        }
        assert!(kept(424_242) && !kept(434_343));
        assert!(last(usize::MAX).is_sorted_by_key(|record| record.at));
    }
}
