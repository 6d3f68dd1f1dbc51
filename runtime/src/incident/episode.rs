//! Incidents of one function and kind that come within a second share one report and one notification. Pure: time comes in.

use std::time::Duration;

use super::escalate::Verdict;
use super::finding::subject;
use super::{Incident, IncidentId, IncidentKind};
use crate::clock::Tick;

/// So many further numbers are named in the report.
const NAMED: usize = 1000;

/// How long an episode is open.
pub(super) const OPEN: Duration = Duration::from_secs(1);

/// An incident, and what came with it.
#[derive(Clone, Debug)]
pub(super) struct Episode {
    pub(super) incident: Incident,
    pub(super) verdict: Verdict,
    opened: Tick,
}

/// The open episodes; one for each function or runtime and kind.
#[derive(Default)]
pub(super) struct Episodes {
    open: Vec<Episode>,
}

impl Episodes {
    /// The open episode that an incident at `now` belongs to.
    pub(super) fn find(&mut self, subject: &str, kind: IncidentKind, now: Tick) -> Option<&mut Episode> {
        self.open.iter_mut().find(|episode| episode.key() == (subject, kind) && now < episode.opened.after(OPEN))
    }

    /// Opens an episode.
    pub(super) fn open(&mut self, incident: Incident, verdict: Verdict, now: Tick) {
        self.open.push(Episode::new(incident, verdict, now));
    }

    /// Takes out the episodes that are over at `now`.
    pub(super) fn close(&mut self, now: Tick) -> Vec<Episode> {
        self.open.extract_if(.., |episode| episode.opened.after(OPEN) <= now).collect()
    }

    /// The incidents of the open episodes.
    pub(super) fn incidents(&mut self) -> impl Iterator<Item = &mut Incident> {
        self.open.iter_mut().map(|episode| &mut episode.incident)
    }

    /// When the next episode is over.
    pub(super) fn next(&self) -> Option<Tick> {
        self.open.iter().map(|episode| episode.opened.after(OPEN)).min()
    }
}

impl Episode {
    pub(super) fn new(incident: Incident, verdict: Verdict, opened: Tick) -> Self {
        Self { incident, verdict, opened }
    }

    /// What is remembered of it until its trouble is over.
    pub(super) fn without_evidence(&self) -> Self {
        Self { incident: self.incident.without_evidence(), verdict: self.verdict.clone(), opened: self.opened }
    }

    /// What it is about, and what is wrong with that.
    pub(super) fn key(&self) -> (&'static str, IncidentKind) {
        let Incident { kind, function, runtimes, .. } = &self.incident;
        (subject(*kind, function, runtimes), *kind)
    }

    /// Counts a further incident; of very many not every number is known.
    pub(super) fn add(&mut self, id: Option<IncidentId>, verdict: Verdict) {
        self.incident.repeats += 1;
        if self.incident.also.len() < NAMED {
            self.incident.also.extend(id);
        }
        self.verdict.join(verdict);
        self.incident.severity = self.verdict.severity;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::incident;
    use super::*;
    use crate::policy::Severity;

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    fn verdict(severity: Severity, channel: &str) -> Verdict {
        Verdict { severity, notify: vec![channel.into()] }
    }

    #[test]
    fn five_hundred_incidents_in_a_second_are_one_episode_with_the_worst_severity() {
        let mut episodes = Episodes::default();
        episodes.open(incident(1, IncidentKind::Limit), verdict(Severity::Warning, "log"), at(0));
        for id in 2..=500 {
            let episode = episodes.find("test::fetch", IncidentKind::Limit, at(id)).unwrap();
            episode.add(Some(IncidentId(id)), verdict(Severity::Critical, "ops"));
        }
        assert!(episodes.close(at(999)).is_empty());
        let closed = episodes.close(at(1000));
        assert_eq!(closed.len(), 1);
        assert_eq!((closed[0].incident.repeats, closed[0].incident.severity), (499, Severity::Critical));
        assert_eq!(closed[0].verdict.notify, ["log".into(), "ops".into()]);
        assert_eq!(episodes.next(), None);
    }

    #[test]
    fn another_kind_and_a_later_second_are_episodes_of_their_own() {
        let mut episodes = Episodes::default();
        episodes.open(incident(1, IncidentKind::Limit), verdict(Severity::Error, "log"), at(0));
        assert!(episodes.find("test::fetch", IncidentKind::Idle, at(1)).is_none());
        assert!(episodes.find("test::other", IncidentKind::Limit, at(1)).is_none());
        assert!(episodes.find("test::fetch", IncidentKind::Limit, at(1000)).is_none());
        assert_eq!(episodes.next(), Some(at(1000)));
    }
}
