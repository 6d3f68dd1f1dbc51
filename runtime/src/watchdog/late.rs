//! The watchdog or its reporter is late: an episode each, reported when it begins, and again whenever it has become twice as bad.

use std::time::Duration;

use crate::clock::Tick;
use crate::host::{Blame, Cause, Evidence, Verdict};
use crate::incident::{self, Finding, IncidentId, IncidentKind};
use crate::spell::spell;

/// A watchdog that is this late is an incident.
const LATE: Duration = Duration::from_secs(1);
/// A reporter that is at one piece of work for this long is stuck.
const STUCK: Duration = Duration::from_secs(10);
/// After this long in time, the next lateness is another episode.
const QUIET: Duration = Duration::from_secs(60);

/// What lasts.
#[derive(Default)]
pub(super) struct Late {
    watchdog: Option<Episode>,
    reporter: bool,
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
                incident::open(incident, finding(lag, cause, 1, now));
                self.watchdog = Some(Episode { incident, last: now, times: 1, total: lag, report_at: lag * 2 });
            }
            Some(episode) => {
                (episode.last, episode.times, episode.total) = (now, episode.times + 1, episode.total + lag);
                if episode.total >= episode.report_at {
                    episode.report_at = episode.total * 2;
                    incident::again(episode.incident, finding(episode.total, cause, episode.times, now));
                }
            }
        }
    }

    /// Looks whether the reporter is stuck; then somebody else reports that.
    pub(super) fn reporter(&mut self, now: Tick) {
        let busy = incident::busy_for(now);
        let stuck = busy >= STUCK;
        if stuck && !self.reporter {
            let note = "the reporter is stuck: in the application's log, in a metrics recorder, or on the disk for reports";
            drop(incident::stand_in(incident::reserve(), itself(busy, note, now)));
        }
        self.reporter = stuck;
    }
}

/// The watchdog, as the reporter sees it: it has not come round for `silence`.
fn finding(lag: Duration, cause: Cause, times: u32, now: Tick) -> Finding {
    let (note, blame, evidence) = match cause {
        Cause::Stopped | Cause::Suspended => (
            "the process did not run: stopped, frozen, paused with its machine, or at a breakpoint",
            Blame::Host,
            Evidence { stopped: lag, ..Evidence::default() },
        ),
        Cause::Starved => ("it waited for a CPU", Blame::Host, Evidence { late: lag, ..Evidence::default() }),
        Cause::Itself => return itself(lag, "the watchdog was busy or blocked itself", now),
    };
    let because = if times > 1 { format!("{note}; {times} times, {} in all", spell(lag)) } else { note.to_owned() };
    let verdict = Some(Verdict { blame, because: because.clone(), evidence });
    Finding { note: Some(because), verdict, ..Finding::process(IncidentKind::WatchdogLate, now, lag) }
}

/// Not the host, but this library is to blame.
fn itself(lag: Duration, note: &str, now: Tick) -> Finding {
    let verdict = Some(Verdict::of_the_code(note));
    Finding { note: Some(note.to_owned()), verdict, ..Finding::process(IncidentKind::WatchdogLate, now, lag) }
}
