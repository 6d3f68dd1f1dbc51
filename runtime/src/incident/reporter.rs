//! The thread `backstop-reporter`: makes reports, logs, stores, notifies, and does what is due once a second.
//!
//! It may wait for disks and for the application's log; the watchdog, which posts to it, may not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::episode::{Episode, Episodes};
use super::escalate::{Escalator, Verdict};
use super::inbox::{self, Work};
use super::oversee::{self, Overseer};
use super::publish::{again, count, over, publish, save};
use super::rounds::survive;
use super::standing::{News, Standing};
use super::{
    DumpReason, Finding, Incident, IncidentId, Occasion, Sighting, abort, blame, demand, kept, plain, reserve, rounds, rules, sheets,
};
use crate::clock::Tick;
use crate::host;
use crate::metrics::{self, beat, tally};
use crate::notify;
use crate::outcome::Outcome;
use crate::policy::{self, Watch};
use crate::site::sites;

/// How often the policy file is looked at; metrics are handed over every second time.
const BEAT: Duration = host::ROUND;
/// What the process is not given is read every fourth time.
const READ_WITHHELD: u64 = 4;
/// How long a flush, or the end of the process, waits for the native stacks of all reports; a small part of that on a machine with time.
const STACKS: Duration = Duration::from_secs(2);

/// Starts the thread, once. Where none can be started, the next call tries again; until then work waits in its bounded queue.
pub(crate) fn ensure_started() {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if STARTED.load(Ordering::Relaxed) {
        return;
    }
    let Some(receiver) = inbox::take() else { return };
    let (hand_over, theirs) = sync_channel(1);
    let started = thread::Builder::new().name("backstop-reporter".into()).spawn(move || {
        if let Ok(receiver) = theirs.recv() {
            Reporter::default().run(&receiver);
        }
    });
    match started {
        Ok(_) => {
            STARTED.store(true, Ordering::Relaxed);
            // The thread waits for it, so it is taken.
            let _ = hand_over.send(receiver);
        }
        Err(_) => inbox::put_back(receiver),
    }
}

/// Waits until everything that was posted before is reported, stored and handed to its channels; `false` when `timeout` came first.
pub(crate) fn flush(timeout: Duration) -> bool {
    ensure_started();
    let (done, wait) = sync_channel(1);
    inbox::post(Work::Flush(done)) && wait.recv_timeout(timeout).is_ok()
}

#[derive(Default)]
struct Reporter {
    escalator: Escalator,
    episodes: Episodes,
    standing: Standing,
    reloads: Reloads,
    overseer: Overseer,
    beats: u64,
}

/// Follows the policy file in force; another one after an `install`.
#[derive(Default)]
struct Reloads {
    path: Option<Arc<Path>>,
    watch: Option<Watch>,
}

impl Reporter {
    fn run(mut self, inbox: &Receiver<Work>) {
        let mut due = Instant::now() + BEAT;
        host::read_withheld(Tick::now());
        loop {
            rounds::come_round();
            match inbox.recv_timeout(self.pause(due)) {
                Ok(work) => {
                    inbox::received();
                    survive(|| self.handle(work));
                }
                Err(RecvTimeoutError::Timeout) => inbox::late_ends().for_each(|id| survive(|| self.handle(Work::End(id)))),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.episodes.next().is_some_and(|over| over <= Tick::now()) {
                survive(|| self.close(Tick::now()));
            }
            if Instant::now() >= due {
                survive(|| self.beat());
                due = Instant::now() + BEAT;
            }
        }
    }

    fn beat(&mut self) {
        let now = Tick::now();
        host::came_round();
        if self.overseer.look(beat::WATCHDOG.silence(now)) {
            self.report(reserve(), oversee::finding(now));
        }
        survive(|| self.reloads.poll(Tick::now()));
        if let Some(signal) = demand::signalled() {
            survive(|| demand::make(DumpReason::Signal(signal)));
        }
        survive(|| self.close(now));
        self.beats += 1;
        if self.beats.is_multiple_of(2) {
            survive(flush_metrics);
        }
        if self.beats.is_multiple_of(READ_WITHHELD) {
            host::read_withheld(now);
        }
    }

    /// How long nothing is due.
    fn pause(&self, due: Instant) -> Duration {
        let periodic = due.saturating_duration_since(Instant::now());
        match self.episodes.next() {
            Some(over) => periodic.min(over.since(Tick::now())),
            None => periodic,
        }
    }

    fn handle(&mut self, work: Work) {
        match work {
            Work::Finding(id, finding) => self.report(id, *finding),
            Work::Sighting(occasion, order, mut sheet) => {
                let sighting = sheet.take();
                sheets::give_back(sheet);
                sighting.into_iter().for_each(|sighting| self.sighted(occasion, sighting));
                plain::heard(order);
            }
            Work::Errand(errand, runtime) => errand(runtime),
            Work::Vacate(record) => record.vacate(),
            Work::End(id) => {
                self.standing.end(id, Tick::now());
                self.close(Tick::now());
            }
            Work::Dump(reason, done) => {
                demand::make(reason);
                answer(&done);
            }
            Work::Line(line) => line.log(),
            Work::Threads => self.complete(Duration::ZERO),
            Work::Flush(done) => {
                self.complete(STACKS);
                self.close(Tick::NEVER);
                answer(&done);
            }
        }
    }

    fn sighted(&mut self, occasion: Occasion, sighting: Sighting) {
        let id = sighting.id;
        let finding = sighting.finding();
        match (occasion, &finding.verdict) {
            (Occasion::First, _) => self.report(id, finding),
            (Occasion::Again, _) => again(id, finding),
            (Occasion::HeldBack, Some(verdict)) => blame::tell(&finding, verdict),
            (Occasion::HeldBack, None) => {}
        }
    }

    fn report(&mut self, id: IncidentId, mut finding: Finding) {
        let now = Tick::now();
        host::read_withheld(now);
        if blame::holds_back(&mut finding) {
            return;
        }
        let subject = finding.subject();
        let steps = rules::escalation(finding.site);
        let verdict = self.escalator.judge(subject, finding.kind, &steps, now);
        let (site, kind, repeats, also) = (finding.site, finding.kind, finding.repeats, std::mem::take(&mut finding.also));
        count(site, kind, verdict.severity);
        self.standing.begin(id, (subject, kind), good(subject), now);
        match self.episodes.find(subject, kind, now) {
            Some(episode) => episode.add(Some(id), verdict),
            None => self.open(id, finding, verdict, now),
        }
        let Some(episode) = self.episodes.find(subject, kind, now) else { return };
        for place in 0..repeats {
            let verdict = self.escalator.judge(subject, kind, &steps, now);
            count(site, kind, verdict.severity);
            episode.add(usize::try_from(place).ok().and_then(|place| also.get(place).copied()), verdict);
        }
    }

    fn open(&mut self, id: IncidentId, finding: Finding, verdict: Verdict, now: Tick) {
        let mut incident = Incident::join(id, finding, verdict.severity);
        publish(&mut incident);
        if abort::is_due(incident.kind) {
            incident.complete(STACKS);
            save(&mut incident);
            abort::abort(&incident, &verdict);
        }
        self.episodes.open(incident, verdict, now);
    }

    /// Brings reports up to date whose threads were looked at meanwhile; waits at most `patience` for that.
    fn complete(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        for mut incident in kept::incomplete() {
            if incident.complete(end.saturating_duration_since(Instant::now())) {
                save(&mut incident);
            }
            kept::keep(&incident);
        }
        for incident in self.episodes.incidents() {
            incident.complete(Duration::ZERO);
        }
    }

    /// Ends episodes: brings their reports up to date and tells the channels. Tells them of what is over, too.
    fn close(&mut self, episodes_until: Tick) {
        let now = Tick::now();
        for mut episode in self.episodes.close(episodes_until) {
            if episode.incident.repeats > 0 {
                publish(&mut episode.incident);
            }
            notify::send(&episode.incident, &rules::channels(&episode.verdict.notify));
            self.standing.tell(&episode, now);
        }
        for news in self.standing.news(now, good) {
            match news {
                News::Again(Episode { incident, verdict, .. }) => notify::remind(&incident, &rules::channels(&verdict.notify)),
                News::Over(Episode { incident, verdict, .. }) => over(incident, &verdict.notify),
            }
        }
    }
}

/// Says that something is done; nobody may be waiting any more.
fn answer(done: &SyncSender<()>) {
    let _ = done.try_send(());
}

/// How many calls of a function have ended well.
fn good(function: &str) -> u64 {
    let sites = sites().iter().filter(|site| site.name() == function);
    sites.filter_map(|site| tally::of(site)).map(|tally| tally.outcome(Outcome::Ok)).sum()
}

impl Reloads {
    fn poll(&mut self, now: Tick) {
        let path = policy::path();
        if path != self.path {
            self.watch = Watch::of_active();
            self.path = path;
        }
        if let Some(watch) = &mut self.watch {
            watch.poll(now);
        }
    }
}

fn flush_metrics() {
    metrics::flush();
    #[cfg(feature = "prometheus")]
    metrics::exporter::fold();
}
