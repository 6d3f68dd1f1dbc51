//! Whether a runtime's workers make progress, from tokio's counters: pure functions of what was seen and the time.

use std::time::Duration;

use tokio::runtime::RuntimeMetrics;

use crate::clock::Tick;
use crate::flight::Fate;
use crate::flight::runtime::is_parked;

/// The counters of all workers at one moment, added up: they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pulse {
    all: Worker,
    /// Whether a worker sleeps, and can be woken.
    sleeps: bool,
}

/// How often a worker went to sleep and was woken, and how long it was busy. The second grows each time that it looks for further work,
/// so a worker of which neither moves is inside one poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Worker {
    parks: u64,
    busy: Duration,
}

impl Pulse {
    pub(super) fn read(metrics: &RuntimeMetrics) -> Self {
        let worker = |index| Worker { parks: metrics.worker_park_unpark_count(index), busy: metrics.worker_total_busy_duration(index) };
        Self::of((0..metrics.num_workers()).map(worker))
    }

    fn of(workers: impl Iterator<Item = Worker>) -> Self {
        workers.fold(Self::default(), |Self { all, sleeps }, worker| Self {
            all: Worker { parks: all.parks.wrapping_add(worker.parks), busy: all.busy.saturating_add(worker.busy) },
            sleeps: sleeps || is_parked(worker.parks),
        })
    }

    /// Whether a worker has moved since `before`, or sleeps and can be woken.
    pub(super) fn beats(&self, before: &Self) -> bool {
        self != before || self.sleeps
    }

    /// Whether it ever moved: a runtime that nobody has driven yet has not.
    pub(super) fn has_begun(&self) -> bool {
        self.all != Worker::default()
    }
}

/// A runtime as the watchdog sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vitals {
    /// Since when its pulse has not beaten.
    pub(super) quiet_since: Tick,
    /// The probe on its way: what became of it, and when it was sent.
    pub(super) probe: Option<(Fate, Tick)>,
    /// When a probe was sent last.
    pub(super) last_probe: Tick,
}

/// What is to be done about a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing.
    Fine,
    /// See whether a task that is spawned now runs.
    Probe,
    /// A worker took the probe: it is alive, however busy.
    Alive,
    /// It was shut down.
    Gone,
    /// No worker makes progress.
    Stalled,
}

/// A runtime is probed this often, to notice that it was dropped.
const PROBED: Duration = Duration::from_secs(10);

/// Judges a runtime at `now`; it is stalled when neither its pulse beats for `after`, nor a probe runs for half of that.
pub(super) fn judge(vitals: &Vitals, after: Duration, now: Tick) -> Finding {
    let quiet = now.since(vitals.quiet_since);
    match vitals.probe {
        Some((Fate::Gone, _)) => Finding::Gone,
        Some((Fate::Ran, _)) => Finding::Alive,
        Some((Fate::Waiting, sent)) if quiet >= after && now.since(sent) >= after / 2 => Finding::Stalled,
        // Whoever should send it may be stuck: in the same heap, or in the same log.
        Some((Fate::Asked, asked)) if quiet >= after && now.since(asked) >= after.saturating_mul(2) => Finding::Stalled,
        Some((Fate::Waiting | Fate::Asked, _)) => Finding::Fine,
        None if quiet >= after / 2 || now.since(vitals.last_probe) >= PROBED => Finding::Probe,
        None => Finding::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(4);

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos((100 + seconds) * 1_000_000_000)
    }

    fn pulse(workers: &[(u64, u64)]) -> Pulse {
        Pulse::of(workers.iter().map(|(parks, busy)| Worker { parks: *parks, busy: Duration::from_millis(*busy) }))
    }

    /// Quiet since second 0.
    fn vitals(probe: Option<(Fate, Tick)>) -> Vitals {
        Vitals { quiet_since: at(0), probe, last_probe: at(0) }
    }

    #[test]
    fn a_parked_or_a_moving_worker_is_a_pulse() {
        assert!(pulse(&[(4, 10), (7, 10)]).beats(&pulse(&[(4, 10), (7, 10)])), "one sleeps");
        assert!(pulse(&[(4, 10), (6, 11)]).beats(&pulse(&[(4, 10), (6, 10)])), "one is busy with many polls");
        assert!(!pulse(&[(4, 10), (6, 10)]).beats(&pulse(&[(4, 10), (6, 10)])), "both are inside one poll");
        assert!(!pulse(&[(0, 0)]).has_begun() && pulse(&[(2, 0)]).has_begun());
    }

    #[test]
    fn a_quiet_runtime_is_probed_before_it_is_called_stalled() {
        assert_eq!(judge(&vitals(None), AFTER, at(1)), Finding::Fine);
        assert_eq!(judge(&vitals(None), AFTER, at(2)), Finding::Probe);
        assert_eq!(judge(&vitals(Some((Fate::Waiting, at(2)))), AFTER, at(3)), Finding::Fine);
        assert_eq!(judge(&vitals(Some((Fate::Waiting, at(2)))), AFTER, at(4)), Finding::Stalled);
    }

    #[test]
    fn a_probe_gets_its_time_also_where_it_was_sent_late() {
        assert_eq!(judge(&vitals(None), AFTER, at(60)), Finding::Probe);
        assert_eq!(judge(&vitals(Some((Fate::Waiting, at(60)))), AFTER, at(61)), Finding::Fine);
        assert_eq!(judge(&vitals(Some((Fate::Waiting, at(60)))), AFTER, at(62)), Finding::Stalled);
    }

    #[test]
    fn a_probe_that_nobody_sends_is_given_up_in_the_end() {
        assert_eq!(judge(&vitals(Some((Fate::Asked, at(2)))), AFTER, at(9)), Finding::Fine);
        assert_eq!(judge(&vitals(Some((Fate::Asked, at(2)))), AFTER, at(10)), Finding::Stalled);
    }

    #[test]
    fn a_probe_that_ran_shows_a_busy_runtime() {
        assert_eq!(judge(&vitals(Some((Fate::Ran, at(2)))), AFTER, at(60)), Finding::Alive);
    }

    #[test]
    fn a_runtime_that_was_dropped_is_noticed_at_the_next_probe() {
        let beating = Vitals { quiet_since: at(60), ..vitals(None) };
        assert_eq!(judge(&beating, AFTER, at(60)), Finding::Probe);
        assert_eq!(judge(&Vitals { last_probe: at(55), ..beating }, AFTER, at(60)), Finding::Fine);
        assert_eq!(judge(&Vitals { probe: Some((Fate::Gone, at(60))), ..beating }, AFTER, at(60)), Finding::Gone);
    }

    #[test]
    fn without_a_limit_nothing_is_ever_stalled() {
        let long = vitals(Some((Fate::Waiting, at(2))));
        assert_eq!(judge(&long, Duration::MAX, at(1_000_000)), Finding::Fine);
    }
}
