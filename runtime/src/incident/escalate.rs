//! How bad an incident is and who is told, by the function's escalation. Pure: time comes in.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::IncidentKind;
use crate::clock::Tick;
use crate::policy::{Escalation, Severity};

/// So many incidents of one function are remembered; a step that needs more within its time is reached with these.
const REMEMBERED: usize = 1024;

/// The incidents of every function so far.
#[derive(Default)]
pub(super) struct Escalator {
    functions: HashMap<&'static str, History>,
}

#[derive(Default)]
struct History {
    total: u64,
    recent: VecDeque<Tick>,
}

/// What the escalation says about one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) severity: Severity,
    /// The channels that are told.
    pub(super) notify: Vec<Arc<str>>,
}

impl Verdict {
    /// Of two incidents that share a notification: the worse, and everybody whom either would tell.
    pub(super) fn join(&mut self, other: Verdict) {
        self.severity = self.severity.max(other.severity);
        for channel in other.notify {
            if !self.notify.contains(&channel) {
                self.notify.push(channel);
            }
        }
    }
}

impl Escalator {
    /// Counts an incident of `function` at `now`; the last step that is reached decides. Without one, the kind's own severity
    /// applies and nobody is told.
    pub(super) fn judge(&mut self, function: &'static str, kind: IncidentKind, steps: &[Escalation], now: Tick) -> Verdict {
        let history = self.functions.entry(function).or_default();
        history.add(now);
        match steps.iter().rev().find(|step| history.reaches(step, now)) {
            Some(step) => Verdict { severity: step.severity, notify: step.notify.clone() },
            None => Verdict { severity: kind.severity(), notify: Vec::new() },
        }
    }
}

impl History {
    fn add(&mut self, now: Tick) {
        self.total += 1;
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    fn reaches(&self, step: &Escalation, now: Tick) -> bool {
        let Some(within) = step.within else { return self.total >= u64::from(step.after) };
        let earlier = self.recent.len().checked_sub((step.after as usize).min(REMEMBERED));
        let first = earlier.and_then(|earlier| self.recent.get(earlier).or(self.recent.back()));
        first.is_some_and(|at| now.since(*at) <= within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn steps() -> Vec<Escalation> {
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        vec![
            Escalation { after: 1, within: None, severity: Severity::Warning, notify: vec!["log".into()] },
            Escalation { after: 3, within: minutes(5), severity: Severity::Critical, notify: vec!["ops".into()] },
        ]
    }

    fn judge(escalator: &mut Escalator, function: &'static str, seconds: u64) -> Verdict {
        let now = Tick::from_nanos(seconds * 1_000_000_000);
        escalator.judge(function, IncidentKind::Limit, &steps(), now)
    }

    #[test]
    fn the_third_incident_within_five_minutes_is_critical() {
        let mut escalator = Escalator::default();
        assert_eq!(judge(&mut escalator, "a", 0).severity, Severity::Warning);
        assert_eq!(judge(&mut escalator, "a", 100).severity, Severity::Warning);
        let third = judge(&mut escalator, "a", 300);
        assert_eq!(third, Verdict { severity: Severity::Critical, notify: vec!["ops".into()] });
    }

    #[test]
    fn incidents_further_apart_than_the_window_do_not_add_up() {
        let mut escalator = Escalator::default();
        for round in 0..10 {
            assert_eq!(judge(&mut escalator, "a", round * 151).severity, Severity::Warning, "round {round}");
        }
        assert_eq!(judge(&mut escalator, "a", 9 * 151 + 1).severity, Severity::Critical);
    }

    #[test]
    fn functions_do_not_escalate_each_other() {
        let mut escalator = Escalator::default();
        judge(&mut escalator, "a", 0);
        judge(&mut escalator, "a", 1);
        assert_eq!(judge(&mut escalator, "b", 2).severity, Severity::Warning);
    }

    #[test]
    fn without_an_escalation_the_kind_decides() {
        let mut escalator = Escalator::default();
        let mut severity = |kind| escalator.judge("a", kind, &[], Tick::default()).severity;
        assert_eq!(severity(IncidentKind::Limit), Severity::Error);
        assert_eq!(severity(IncidentKind::Blocked), Severity::Warning);
        assert_eq!(severity(IncidentKind::RuntimeStalled), Severity::Critical);
    }

    #[test]
    fn a_flood_is_remembered_within_bounds() {
        let mut escalator = Escalator::default();
        for second in 0..5000 {
            judge(&mut escalator, "a", second);
        }
        assert_eq!(escalator.functions[&"a"].recent.len(), REMEMBERED);
    }
}
