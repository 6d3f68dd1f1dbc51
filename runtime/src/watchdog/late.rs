//! The watchdog or its reporter is late: an episode each, reported when it begins, and again whenever it has become twice as bad.

use std::time::Duration;

use crate::clock::Tick;
use crate::host::{Blame, Cause, Evidence, Verdict};
use crate::incident::{self, Finding, IncidentId, IncidentKind, Occasion, Sighting, plain, rounds, stand_in};
use crate::spell::spell;

/// A watchdog that is this late is an incident.
const LATE: Duration = Duration::from_secs(1);
/// A reporter that does not come forward for this long is stuck, …
const STUCK: Duration = Duration::from_secs(10);
/// … if the watchdog looked so often meanwhile: else the process as a whole did not run.
const LOOKS: u32 = 5;
/// After this long in time, the next lateness is another episode.
const QUIET: Duration = Duration::from_secs(60);

/// What lasts.
#[derive(Default)]
pub(super) struct Late {
    watchdog: Option<Episode>,
    reporter: Reporter,
}

/// The reporter, as the watchdog sees it.
#[derive(Default)]
struct Reporter {
    rounds: u64,
    since: Tick,
    looks: u32,
    reported: bool,
}

struct Episode {
    incident: IncidentId,
    last: Tick,
    times: u32,
    total: Duration,
    report_at: Duration,
}

impl Late {
    /// The watchdog was late by `lag`. With a debugger that is its doing, and was told when it came.
    pub(super) fn watchdog(&mut self, lag: Duration, cause: Cause, debugger: Option<u32>, now: Tick) {
        if lag < LATE || debugger.is_some() {
            return;
        }
        match self.watchdog.as_mut().filter(|episode| now.since(episode.last) < QUIET + lag) {
            None => {
                let incident = incident::reserve();
                incident::sighted(Occasion::First, sighting(incident, lag, cause, 1, now));
                self.watchdog = Some(Episode { incident, last: now, times: 1, total: lag, report_at: lag * 2 });
            }
            Some(episode) => {
                (episode.last, episode.times, episode.total) = (now, episode.times + 1, episode.total + lag);
                if episode.total >= episode.report_at {
                    episode.report_at = episode.total * 2;
                    incident::sighted(Occasion::Again, sighting(episode.incident, episode.total, cause, episode.times, now));
                }
            }
        }
    }

    /// Looks whether the reporter is stuck, once a second; then what it was handed is said in plain lines, and somebody else reports that.
    pub(super) fn reporter(&mut self, now: Tick) {
        let Some(silence) = self.reporter.silence(rounds::rounds(), now) else { return };
        plain::say(silence, now);
        if !std::mem::replace(&mut self.reporter.reported, true) {
            let seen = Sighting::process(stuck_in_words, IncidentKind::WatchdogLate, now, silence);
            stand_in::stand_in(Sighting { id: incident::reserve(), ..seen });
        }
    }
}

impl Reporter {
    /// How long it has not come forward, where it is stuck.
    fn silence(&mut self, rounds: u64, now: Tick) -> Option<Duration> {
        if self.rounds != rounds || self.since == Tick::default() {
            *self = Self { rounds, since: now, looks: 0, reported: false };
        }
        self.looks += 1;
        Some(now.since(self.since)).filter(|silence| *silence >= STUCK && self.looks >= LOOKS)
    }
}

fn stuck_in_words(seen: &Sighting) -> Finding {
    itself(seen, "the reporter is stuck: in the application's log, in a metrics recorder, on the disk for reports, or in the heap")
}

/// The watchdog has not come round for `lag`.
fn sighting(id: IncidentId, lag: Duration, cause: Cause, times: u32, now: Tick) -> Sighting {
    Sighting { id, late: Some((cause, times)), ..Sighting::process(late_in_words, IncidentKind::WatchdogLate, now, lag) }
}

fn late_in_words(seen: &Sighting) -> Finding {
    let (lag, (cause, times)) = (seen.elapsed, seen.late.unwrap_or((Cause::Itself, 1)));
    let (note, blame, evidence) = match cause {
        Cause::Stopped | Cause::Suspended => (
            "the process did not run: stopped, frozen, paused with its machine, or at a breakpoint",
            Blame::Host,
            Evidence { stopped: lag, ..Evidence::default() },
        ),
        Cause::Starved => ("it waited for a CPU", Blame::Host, Evidence { late: lag, ..Evidence::default() }),
        Cause::Itself => return itself(seen, "the watchdog was busy or blocked itself"),
    };
    let because = if times > 1 { format!("{note}; {times} times, {} in all", spell(lag)) } else { note.to_owned() };
    let verdict = Some(Verdict { blame, because: because.clone(), evidence });
    Finding { note: Some(because), verdict, ..Finding::process(seen.kind, seen.at, lag) }
}

/// Not the host, but this library is to blame.
fn itself(seen: &Sighting, note: &str) -> Finding {
    let verdict = Some(Verdict::of_the_code(note));
    Finding { note: Some(note.to_owned()), verdict, ..Finding::process(seen.kind, seen.at, seen.elapsed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_reporter_is_stuck_when_it_does_not_come_forward_while_the_watchdog_does() {
        let mut reporter = Reporter::default();
        assert!((1..=10).all(|second| reporter.silence(second, at(second)).is_none()), "it comes forward");
        assert!((11..20).all(|second| reporter.silence(10, at(second)).is_none()), "not for long");
        assert_eq!(reporter.silence(10, at(20)), Some(Duration::from_secs(10)));
        assert_eq!(reporter.silence(11, at(21)), None, "it goes on");
        assert_eq!(reporter.silence(11, at(600)), None, "the process was stopped");
    }
}
