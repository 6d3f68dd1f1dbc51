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
    /// What was told, and to whom: the newest episode last, and of earlier ones those that a channel was told as the worst. Each channel
    /// stands in one at most. Empty before the first episode is over.
    told: Vec<Episode>,
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
        let new = || Trouble { told: Vec::new(), lasting: HashSet::new(), last: now, good, repeat: Tick::NEVER };
        let trouble = self.troubles.entry(key).or_insert_with(new);
        (trouble.last, trouble.good) = (now, good);
        if key.1.lasts() && trouble.lasting.len() < FOLLOWED {
            trouble.lasting.insert(id);
        }
    }

    /// Remembers what the channels are told about an episode.
    pub(super) fn tell(&mut self, episode: &Episode, now: Tick) {
        if let Some(trouble) = self.troubles.get_mut(&episode.key()) {
            trouble.tell(episode.without_evidence());
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
        let over = self.troubles.extract_if(|key, trouble| !trouble.told.is_empty() && trouble.is_over(*key, now, &good));
        let mut news: Vec<News> = over.flat_map(|(_, trouble)| trouble.told).map(News::Over).collect();
        for trouble in self.troubles.values_mut().filter(|trouble| now >= trouble.repeat) {
            trouble.repeat = now.after(REPEATED);
            news.extend(trouble.told.iter().cloned().map(News::Again));
        }
        news
    }
}

impl Trouble {
    /// A channel hears again, and hears the end, of the worst that it was told; of equals, of the last.
    fn tell(&mut self, mut episode: Episode) {
        for earlier in &mut self.told {
            let worse = earlier.verdict.severity > episode.verdict.severity;
            let (kept, given) = if worse { (&*earlier, &mut episode) } else { (&episode, earlier) };
            given.verdict.notify.retain(|channel| !kept.verdict.notify.contains(channel));
        }
        self.told.retain(|earlier| !earlier.verdict.notify.is_empty());
        self.told.push(episode);
    }

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

    /// Tells `channels` of incident `id` at that second.
    fn tell(standing: &mut Standing, id: u64, severity: Severity, channels: &[&str]) {
        standing.begin(IncidentId(id), (FETCH.name(), IncidentKind::Limit), 5, at(id));
        let verdict = Verdict { severity, notify: channels.iter().map(|channel| (*channel).into()).collect() };
        standing.tell(&Episode::new(incident(id, IncidentKind::Limit), verdict, at(id)), at(id));
    }

    /// Who hears the end of which incident; of those that nobody was told of, `nobody`.
    fn ends(mut standing: Standing) -> Vec<(u64, String)> {
        let of = |news| match news {
            News::Over(episode) => (episode.incident.id.0, episode.verdict.notify.join(" ")),
            News::Again(_) => panic!("it is over"),
        };
        standing.news(at(100_000), |_| 6).into_iter().map(of).collect()
    }

    #[test]
    fn whoever_was_told_at_any_step_is_told_the_end() {
        let mut standing = Standing::default();
        tell(&mut standing, 1, Severity::Warning, &["dev", "log"]);
        tell(&mut standing, 2, Severity::Critical, &["ops", "log"]);
        assert_eq!(standing.news(at(62), |_| 5).len(), 2, "both are repeated");
        assert_eq!(ends(standing), [(1, "dev".into()), (2, "ops log".into())]);
    }

    #[test]
    fn an_incident_that_nobody_is_told_of_takes_the_end_from_nobody() {
        let mut standing = Standing::default();
        tell(&mut standing, 1, Severity::Critical, &["ops"]);
        tell(&mut standing, 2, Severity::Info, &[]);
        tell(&mut standing, 3, Severity::Info, &["ops", "dev"]);
        assert_eq!(ends(standing), [(1, "ops".into()), (3, "dev".into())], "of the worst that each was told");
    }

    #[test]
    fn a_trouble_that_goes_on_for_ever_remembers_each_channel_once() {
        let mut standing = Standing::default();
        for id in 1..500 {
            let severity = [Severity::Warning, Severity::Info, Severity::Error][usize::try_from(id % 3).unwrap()];
            tell(&mut standing, id, severity, [&["a", "b"][..], &["b"], &[], &["c", "a"]][usize::try_from(id % 4).unwrap()]);
        }
        assert!(ends(standing).len() <= 4);
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
