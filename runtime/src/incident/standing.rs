//! Which troubles still stand, so that those who were told of one are told when it is over. Pure: time and counts come in.
//!
//! One trouble is all incidents of one function and kind. What lasts (a blocked thread, an orphan, a stalled runtime) is over when
//! its finder says so, for each of its incidents. What happens at one moment (a limit, a panic) is over when the function has ended
//! a call well and was quiet for a while; without any call, when it was quiet for long.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::episode::Episode;
use super::{IncidentId, IncidentKind};
use crate::clock::Tick;

/// A function that ends calls well and was quiet for this long has recovered.
const RECOVERED: Duration = Duration::from_secs(60);
/// A trouble that nobody has seen again for this long is over, also where the function is not called any more.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// While it stands, it is repeated to those who forget what is not repeated.
const REPEATED: Duration = Duration::from_secs(60);
/// So many incidents of one trouble are followed until they end.
const FOLLOWED: usize = 10_000;

/// The function's or the runtime's name, and what is wrong with it.
type Key = (&'static str, IncidentKind);

/// The troubles that stand: at most one for each function and kind.
#[derive(Default)]
pub(super) struct Standing {
    troubles: HashMap<Key, Trouble>,
}

struct Trouble {
    /// What its channels were told; `None` before the first episode is over.
    told: Option<Episode>,
    /// Incidents whose end has not come.
    lasting: HashSet<IncidentId>,
    /// The last incident, or the last end of one.
    last: Tick,
    /// The calls of the function that had ended well by then.
    good: u64,
    repeat: Tick,
}

/// What became of a trouble.
#[derive(Debug)]
pub(super) enum News {
    /// It still stands.
    Again(Episode),
    /// It is over.
    Over(Episode),
}

impl Standing {
    /// Counts an incident; `good` calls of its function have ended well so far.
    pub(super) fn begin(&mut self, id: IncidentId, key: Key, good: u64, now: Tick) {
        let new = || Trouble { told: None, lasting: HashSet::new(), last: now, good, repeat: Tick::NEVER };
        let trouble = self.troubles.entry(key).or_insert_with(new);
        (trouble.last, trouble.good) = (now, good);
        if key.1.lasts() && trouble.lasting.len() < FOLLOWED {
            trouble.lasting.insert(id);
        }
    }

    /// Remembers what the channels are told about an episode.
    pub(super) fn tell(&mut self, episode: &Episode, now: Tick) {
        if let Some(trouble) = self.troubles.get_mut(&episode.key()) {
            trouble.told = Some(episode.without_evidence());
            trouble.repeat = now.after(REPEATED);
        }
    }

    /// Counts the end of what lasted.
    pub(super) fn end(&mut self, id: IncidentId, now: Tick) {
        if let Some(trouble) = self.troubles.values_mut().find(|trouble| trouble.lasting.contains(&id)) {
            trouble.lasting.remove(&id);
            trouble.last = now;
        }
    }

    /// What is to be told at `now`; `good` counts the calls of a function that have ended well.
    pub(super) fn news(&mut self, now: Tick, good: impl Fn(&str) -> u64) -> Vec<News> {
        let over = self.troubles.extract_if(|key, trouble| trouble.told.is_some() && trouble.is_over(*key, now, &good));
        let mut news: Vec<News> = over.filter_map(|(_, trouble)| trouble.told).map(News::Over).collect();
        for trouble in self.troubles.values_mut().filter(|trouble| now >= trouble.repeat) {
            trouble.repeat = now.after(REPEATED);
            news.extend(trouble.told.clone().map(News::Again));
        }
        news
    }
}

impl Trouble {
    fn is_over(&self, (function, kind): Key, now: Tick, good: impl Fn(&str) -> u64) -> bool {
        let quiet = now.since(self.last);
        match kind.lasts() {
            true => self.lasting.is_empty(),
            false => quiet >= FORGOTTEN || quiet >= RECOVERED && (function.is_empty() || good(function) > self.good),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::escalate::Verdict;
    use super::super::testing::{FETCH, incident};
    use super::*;
    use crate::policy::Severity;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    /// One incident at second 10 that was told.
    fn stands(kind: IncidentKind) -> Standing {
        let mut standing = Standing::default();
        standing.begin(IncidentId(1), (FETCH.name(), kind), 5, at(10));
        let verdict = Verdict { severity: Severity::Critical, notify: vec!["ops".into()] };
        standing.tell(&Episode::new(incident(1, kind), verdict, at(10)), at(11));
        standing
    }

    fn over(standing: &mut Standing, seconds: u64, good: u64) -> bool {
        standing.news(at(seconds), |_| good).iter().any(|news| matches!(news, News::Over(_)))
    }

    #[test]
    fn a_blocked_thread_stands_until_all_of_its_incidents_have_ended() {
        let mut standing = stands(IncidentKind::Blocked);
        standing.begin(IncidentId(2), (FETCH.name(), IncidentKind::Blocked), 5, at(12));
        standing.end(IncidentId(1), at(20));
        assert!(!over(&mut standing, 100_000, 500));
        standing.end(IncidentId(2), at(100_001));
        assert!(over(&mut standing, 100_001, 500));
        assert!(standing.troubles.is_empty());
    }

    #[test]
    fn a_timeout_is_over_when_the_function_works_again_and_was_quiet_for_a_minute() {
        let mut standing = stands(IncidentKind::Limit);
        assert!(!over(&mut standing, 69, 6), "not quiet for long enough");
        assert!(!over(&mut standing, 75, 5), "no call has ended well since");
        assert!(over(&mut standing, 76, 6));
    }

    #[test]
    fn a_timeout_of_a_function_that_is_not_called_again_is_over_some_time() {
        let mut standing = stands(IncidentKind::Limit);
        assert!(!over(&mut standing, 10 + 15 * 60 - 1, 5));
        assert!(over(&mut standing, 10 + 15 * 60, 5));
    }

    #[test]
    fn a_further_incident_begins_the_quiet_time_anew() {
        let mut standing = stands(IncidentKind::Limit);
        standing.begin(IncidentId(2), (FETCH.name(), IncidentKind::Limit), 6, at(60));
        assert!(!over(&mut standing, 119, 7));
        assert!(over(&mut standing, 120, 7));
    }

    #[test]
    fn what_stands_is_repeated_once_a_minute() {
        let mut standing = stands(IncidentKind::Blocked);
        let again = (11..=11 + 5 * 60).filter(|second| !standing.news(at(*second), |_| 5).is_empty()).count();
        assert_eq!(again, 5);
    }

    #[test]
    fn an_end_before_the_channels_are_told_is_told_after_them() {
        let mut standing = Standing::default();
        standing.begin(IncidentId(1), (FETCH.name(), IncidentKind::Blocked), 5, at(10));
        standing.end(IncidentId(1), at(10));
        assert!(!over(&mut standing, 10, 5));
        let episode = Episode::new(incident(1, IncidentKind::Blocked), Verdict { severity: Severity::Error, notify: Vec::new() }, at(10));
        standing.tell(&episode, at(11));
        assert!(over(&mut standing, 11, 5));
    }
}
