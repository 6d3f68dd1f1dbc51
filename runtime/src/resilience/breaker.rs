//! A circuit breaker: after repeated failures calls are refused at once, until one that is let through succeeds.
//!
//! ```text
//!            failures within the window              open time is over, one call probes
//!   closed ------------------------------> open -----------------------------------------> half-open
//!     ^                                     ^                                               |   |
//!     |                                     +------------------ probe fails ----------------+   |
//!     +---------------------------------------- probe succeeds ---------------------------------+
//! ```
//!
//! The state knows no settings: each call brings those in force, so a reload keeps what the breaker has learned. While it is closed,
//! letting a call in is one atomic load; the lock is taken for failures and changes only, and never while a call runs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Tick;
use crate::policy::Breaker;

/// Whether calls are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// They are.
    Closed = 0,
    /// They are refused.
    Open = 1,
    /// One of them is, to see whether it succeeds.
    HalfOpen = 2,
}

impl Phase {
    /// The phase in the lowest two bits.
    fn of(present: u64) -> Self {
        match present & 3 {
            1 => Phase::Open,
            2 => Phase::HalfOpen,
            _ => Phase::Closed,
        }
    }
}

/// The breaker of one function.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// The record's epoch and, in the lowest two bits, its phase, for those who need no more.
    present: AtomicU64,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    phase: Phase,
    /// The failures within the window, oldest first; never more than open it.
    failures: VecDeque<Tick>,
    /// While open: when the next probe may start.
    until: Tick,
    /// While half-open: whether a probe runs.
    probing: bool,
    /// Counts changes. A call that was let in before the last one says nothing about the present.
    epoch: u64,
}

/// A call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// When a call may be let in to probe; the present where one probes already.
    pub(crate) until: Tick,
}

/// A call was let in. Dropped without a verdict (the caller went away), it gives the place of a probe back.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a call that was cancelled"]
pub(crate) struct Permit<'a> {
    circuit: &'a Circuit,
    epoch: u64,
    probe: bool,
}

impl Circuit {
    /// A closed one.
    pub(crate) const fn new() -> Self {
        let record = Record { phase: Phase::Closed, failures: VecDeque::new(), until: Tick::from_nanos(0), probing: false, epoch: 0 };
        Self { present: AtomicU64::new(Phase::Closed as u64), record: Mutex::new(record) }
    }

    #[cfg(test)]
    fn phase(&self) -> Phase {
        Phase::of(self.present.load(Ordering::Acquire))
    }

    /// Lets a call in, or refuses it. The place of a probe is taken here, before the call runs: of many at the same time one is let in.
    pub(crate) fn admit(&self, now: Tick) -> Result<Permit<'_>, Open> {
        let present = self.present.load(Ordering::Acquire);
        if Phase::of(present) == Phase::Closed {
            return Ok(Permit { circuit: self, epoch: present >> 2, probe: false });
        }
        let mut record = self.record();
        if record.phase == Phase::Closed {
            return Ok(Permit { circuit: self, epoch: record.epoch, probe: false });
        }
        if record.probing || now < record.until {
            return Err(Open { until: record.until.max(now) });
        }
        if record.phase == Phase::Open {
            self.change(&mut record, Phase::HalfOpen);
        }
        record.probing = true;
        Ok(Permit { circuit: self, epoch: record.epoch, probe: true })
    }

    /// Closes it, whatever it has learned; `false` where it is closed.
    pub(crate) fn close(&self) -> bool {
        let mut record = self.record();
        let was_open = record.phase != Phase::Closed;
        if was_open {
            self.change(&mut record, Phase::Closed);
        }
        was_open
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // A panic can only come from an allocation that failed; the record is whole at every point where one is made.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, record: &mut Record, phase: Phase) {
        record.phase = phase;
        record.epoch += 1;
        record.failures.clear();
        record.probing = false;
        self.present.store(record.epoch << 2 | phase as u64, Ordering::Release);
    }
}

impl Permit<'_> {
    /// Whether this call decides if the breaker closes.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe
    }

    /// The call succeeded. Returns the phase that the breaker changes to.
    pub(crate) fn success(self) -> Option<Phase> {
        if !self.probe {
            return None;
        }
        let mut record = self.circuit.record();
        (record.epoch == self.epoch).then(|| {
            self.circuit.change(&mut record, Phase::Closed);
            Phase::Closed
        })
    }

    /// The call failed at `now`; `rule` is the setting in force. Returns the phase that the breaker changes to.
    pub(crate) fn failure(self, rule: &Breaker, now: Tick) -> Option<Phase> {
        let mut record = self.circuit.record();
        if record.epoch != self.epoch || !(self.probe || record.trips(rule, now)) {
            return None;
        }
        self.circuit.change(&mut record, Phase::Open);
        record.until = now.after(rule.open);
        Some(Phase::Open)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut record = self.circuit.record();
        // After a verdict the epoch has moved on.
        if record.epoch == self.epoch {
            record.probing = false;
        }
    }
}

impl Record {
    /// Adds a failure; whether it is one too many.
    fn trips(&mut self, rule: &Breaker, now: Tick) -> bool {
        self.failures.push_back(now);
        let most = usize::try_from(rule.failures.max(1)).unwrap_or(usize::MAX);
        while self.failures.len() > most || self.failures.front().is_some_and(|oldest| now.since(*oldest) > rule.window) {
            self.failures.pop_front();
        }
        self.failures.len() >= most
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const RULE: Breaker = Breaker { failures: 2, window: Duration::from_secs(10), open: Duration::from_secs(5) };

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    fn opened() -> Circuit {
        let circuit = Circuit::new();
        assert_eq!(circuit.admit(at(0)).unwrap().failure(&RULE, at(0)), None);
        assert_eq!(circuit.admit(at(1)).unwrap().failure(&RULE, at(1)), Some(Phase::Open));
        circuit
    }

    #[test]
    fn enough_failures_within_the_window_open_it() {
        let circuit = opened();
        assert_eq!(circuit.admit(at(2)).unwrap_err(), Open { until: at(6) });
        assert_eq!(circuit.phase(), Phase::Open);
    }

    #[test]
    fn failures_that_left_the_window_do_not_count() {
        let circuit = Circuit::new();
        for second in [0, 11, 22, 33] {
            assert_eq!(circuit.admit(at(second)).unwrap().failure(&RULE, at(second)), None);
        }
        assert_eq!(circuit.admit(at(34)).unwrap().failure(&RULE, at(34)), Some(Phase::Open));
    }

    #[test]
    fn of_fifty_calls_one_probes() {
        let circuit = opened();
        let let_in: Vec<_> = (0..50).filter_map(|_| circuit.admit(at(6)).ok()).collect();
        assert_eq!(let_in.len(), 1);
        assert!(let_in[0].is_probe());
        assert_eq!(circuit.phase(), Phase::HalfOpen);
    }

    #[test]
    fn a_probe_that_is_dropped_lets_the_next_call_probe() {
        let circuit = opened();
        drop(circuit.admit(at(6)).unwrap());
        assert!(circuit.admit(at(6)).unwrap().is_probe());
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_and_clears_the_record() {
        let circuit = opened();
        assert_eq!(circuit.admit(at(6)).unwrap().success(), Some(Phase::Closed));
        assert_eq!(circuit.admit(at(7)).unwrap().failure(&RULE, at(7)), None);
        assert_eq!(circuit.phase(), Phase::Closed);
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_for_the_whole_time() {
        let circuit = opened();
        assert_eq!(circuit.admit(at(6)).unwrap().failure(&RULE, at(8)), Some(Phase::Open));
        assert_eq!(circuit.admit(at(12)).unwrap_err(), Open { until: at(13) });
        assert!(circuit.admit(at(13)).is_ok());
    }

    #[test]
    fn a_call_from_before_the_change_has_no_say() {
        let circuit = Circuit::new();
        let old: Vec<_> = (0..5).map(|_| circuit.admit(at(0)).unwrap()).collect();
        let changes: Vec<_> = old.into_iter().map(|permit| permit.failure(&RULE, at(1))).collect();
        assert_eq!(changes, [None, Some(Phase::Open), None, None, None]);
        assert_eq!(circuit.admit(at(2)).unwrap_err(), Open { until: at(6) });
    }

    #[test]
    fn a_reload_that_asks_for_fewer_failures_counts_those_that_were() {
        let circuit = Circuit::new();
        let many = Breaker { failures: 100, ..RULE };
        for second in 0..3 {
            assert_eq!(circuit.admit(at(second)).unwrap().failure(&many, at(second)), None);
        }
        assert_eq!(circuit.admit(at(4)).unwrap().failure(&RULE, at(4)), Some(Phase::Open));
    }

    proptest! {
        #[test]
        fn it_is_never_stuck(steps in prop::collection::vec((0_u64..4, 0_u8..3), 1..200)) {
            let circuit = Circuit::new();
            let mut now = 0;
            for (pause, verdict) in steps {
                now += pause;
                match (circuit.admit(at(now)), verdict) {
                    (Ok(permit), 0) => { permit.success(); }
                    (Ok(permit), 1) => { permit.failure(&RULE, at(now)); }
                    (Ok(permit), _) => drop(permit),
                    (Err(open), _) => prop_assert!(open.until <= at(now).after(RULE.open)),
                }
            }
            // No permit is out: once the open time is over, a call is let in.
            prop_assert!(circuit.admit(at(now).after(RULE.open)).is_ok());
        }
    }
}
