//! What has happened in this process as a whole: drops, stalled runtimes, the watchdog, policies.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::beat;
use super::names::DROPPED_WHAT;
use crate::clock::Tick;
use crate::incident::{IncidentKind, SEVERITIES};
use crate::policy::Severity;

/// More runtimes than this are not told apart.
const RUNTIMES: usize = 64;

static DROPPED: [AtomicU64; DROPPED_WHAT.len()] = [const { AtomicU64::new(0) }; DROPPED_WHAT.len()];
/// Incidents that are no function's.
static INCIDENTS: [[AtomicU64; SEVERITIES.len()]; IncidentKind::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; SEVERITIES.len()] }; IncidentKind::ALL.len()];
static WATCHDOG_LAG: AtomicU64 = AtomicU64::new(0);
static POLICY_GENERATION: AtomicU64 = AtomicU64::new(0);
static POLICY_REFUSED: AtomicU64 = AtomicU64::new(0);
/// The last place is for those that are not told apart. Locked by the watchdog's and the flushing thread, never by the application, and not while
/// they wait for the heap.
static STALLED: Mutex<[Option<(&str, bool)>; RUNTIMES + 1]> = Mutex::new([None; RUNTIMES + 1]);

/// Counts one thing that was dropped.
pub(crate) fn drop_one(what: &str) {
    let index = DROPPED_WHAT.iter().position(|entry| *entry == what).unwrap_or(DROPPED_WHAT.len() - 1);
    DROPPED[index].fetch_add(1, Relaxed);
}

/// How many of [`DROPPED_WHAT`]`[index]` were dropped.
pub(crate) fn dropped(index: usize) -> u64 {
    DROPPED[index].load(Relaxed)
}

/// Counts an incident that is no function's.
pub(crate) fn incident(kind: IncidentKind, severity: Severity) {
    INCIDENTS[kind as usize][severity as usize].fetch_add(1, Relaxed);
}

/// How many of those there were.
pub(crate) fn incidents(kind: IncidentKind, severity: Severity) -> u64 {
    INCIDENTS[kind as usize][severity as usize].load(Relaxed)
}

pub(crate) fn set_watchdog_lag(lag: Duration) {
    WATCHDOG_LAG.store(u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX), Relaxed);
}

/// How late it was at its last look, or is for the next one by now: whoever asks sees a watchdog that hangs, too.
pub(crate) fn watchdog_lag(now: Tick) -> Duration {
    Duration::from_nanos(WATCHDOG_LAG.load(Relaxed)).max(beat::WATCHDOG.silence(now))
}

pub(crate) fn set_policy_generation(generation: u64) {
    POLICY_GENERATION.store(generation, Relaxed);
}

pub(crate) fn policy_generation() -> u64 {
    POLICY_GENERATION.load(Relaxed)
}

pub(crate) fn policy_refused() {
    POLICY_REFUSED.fetch_add(1, Relaxed);
}

pub(crate) fn policies_refused() -> u64 {
    POLICY_REFUSED.load(Relaxed)
}

/// A runtime stalled, or came back; one that never stalled is registered by `stalled: false`.
pub(crate) fn set_stalled(runtime: &'static str, stalled: bool) {
    let mut runtimes = STALLED.lock().unwrap_or_else(PoisonError::into_inner);
    let (own, others) = runtimes.split_at_mut(RUNTIMES);
    match own.iter_mut().find(|known| known.is_none_or(|(name, _)| name == runtime)) {
        Some(place) => *place = Some((runtime, stalled)),
        None => others[0] = Some(("_other", stalled)),
    }
}

/// Those that were ever told of.
pub(crate) fn stalled() -> impl Iterator<Item = (&'static str, bool)> {
    let runtimes = *STALLED.lock().unwrap_or_else(PoisonError::into_inner);
    runtimes.into_iter().flatten()
}
