//! Joins a finding with everything that explains it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::recorder::{self, Progress, Record};
use super::{Awaited, Finding, IncidentId, IncidentKind, Looked, Program, SystemState, ThreadState, blame, cause, program, render, rules};
use crate::clock::Tick;
use crate::flight::{self, CallId, RuntimeState, Tree};
use crate::host;
use crate::policy::{Origin, Severity};

/// So many events are in a report.
const EVENTS: usize = 64;
/// How long the first line of a report waits for the stack; the rest of it comes later.
const PATIENCE: Duration = Duration::from_millis(15);
/// So many functions are in a report, the most recently active first.
const FUNCTIONS: usize = 32;

/// One incident and everything that explains it.
///
/// [`Display`](fmt::Display) is the report for a person, [`to_json`](Self::to_json) the one for machines. Neither holds argument
/// values or memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incident {
    /// The number that [`TimeoutError::incident`](crate::TimeoutError::incident) names.
    pub id: IncidentId,
    /// What kind of thing went wrong.
    pub kind: IncidentKind,
    /// How bad it is, by the function's escalation.
    pub severity: Severity,
    /// The function's name; empty for the process as a whole.
    pub function: &'static str,
    /// The function's source file and line.
    pub location: Option<(&'static str, u32)>,
    /// When it was found.
    pub time: SystemTime,
    /// When it was over; `None` while it stands.
    pub resolved: Option<SystemTime>,
    /// The limit that passed.
    pub limit: Option<Duration>,
    /// Who set that limit.
    pub set_by: Option<Origin>,
    /// How long the call had run, or was blocked or silent.
    pub elapsed: Duration,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// How many attempts the policy allows.
    pub attempts: u32,
    /// The thread that is blocked.
    pub thread: Option<String>,
    /// What the finder knew beyond that.
    pub note: Option<String>,
    /// What probably happened, in one sentence.
    pub cause: String,
    /// Whether the code is to blame, or the host.
    pub verdict: host::Verdict,
    /// Further incidents of the same function and kind within a second of this one; they share this report.
    pub also: Vec<IncidentId>,
    /// How many of those there were; more than [`also`](Self::also) names where they were very many.
    pub repeats: u64,
    /// The id in [`calls`](Self::calls) of the call that this is about.
    pub call: Option<u64>,
    /// The running calls.
    pub calls: Tree,
    /// The tokio runtimes; of a stalled one, it comes first.
    pub runtimes: Vec<RuntimeState>,
    /// What the threads do that poll guarded calls or belong to a runtime, with their native stacks; the one that this is about first.
    pub threads: Vec<ThreadState>,
    /// Further such threads that were not looked at: a report shows 64.
    pub threads_left_out: usize,
    /// The last events, oldest first.
    pub events: Vec<RecentEvent>,
    /// How far each function has come, the most recently active first.
    pub functions: Vec<FunctionProgress>,
    /// The host and this process.
    pub system: SystemState,
    /// The policy in force for the function, as [`explain`](crate::explain) prints it.
    pub policy: Option<String>,
    /// The program.
    pub program: Program,
    /// The text report on disk, where a folder for reports is configured.
    pub report: Option<PathBuf>,
    /// Where the rest of `threads` will be.
    awaited: Option<Arc<Awaited>>,
}

/// One event before an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecentEvent {
    /// How long before the incident; zero for later ones.
    pub ago: Duration,
    /// What happened: `finished`, `retrying`, `breaker_changed` …
    pub what: &'static str,
    /// The function; `None` for the process as a whole.
    pub function: Option<&'static str>,
    /// The attempt, the outcome or the state.
    pub detail: String,
    /// How long it took; zero where that means nothing.
    pub elapsed: Duration,
}

/// How far one function has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionProgress {
    /// Its name.
    pub function: &'static str,
    /// Calls that ended.
    pub calls: u64,
    /// Calls that have begun and not ended.
    pub in_flight: u64,
    /// How many of those wait for their turn, for a rate limit or a seat: their bodies have not begun.
    pub queued: u64,
    /// How long ago a call came to the queue for a rate limit or a seat last; `None` where none ever had to queue.
    pub last_queued: Option<Duration>,
    /// How long ago an attempt began last.
    pub last_started: Option<Duration>,
    /// How long ago a call ended last.
    pub last_finished: Option<Duration>,
}

impl Incident {
    /// Joins. Takes a few milliseconds; runs on the reporter's thread.
    pub(super) fn join(id: IncidentId, finding: Finding, severity: Severity) -> Self {
        let (now, time) = (Tick::now(), SystemTime::now());
        let system = SystemState::read(finding.since);
        let calls = finding.tree.clone().unwrap_or_else(|| flight::look(finding.call.and_then(CallId::of), now));
        let runtimes = if finding.runtimes.is_empty() { flight::runtimes() } else { finding.runtimes.clone() };
        let verdict = finding.verdict.clone().unwrap_or_else(|| blame::verdict_on(&finding));
        let cause = cause::guess(&finding, &verdict, &calls, &system);
        let (limit, set_by) = finding.limit.unzip();
        let mut incident = Self {
            id,
            kind: finding.kind,
            severity,
            function: finding.site.map_or("", |site| site.name()),
            location: finding.site.map(|site| (site.file(), site.line())),
            time: time - now.since(finding.at),
            resolved: None,
            limit,
            set_by,
            elapsed: finding.elapsed,
            attempt: finding.attempt,
            attempts: finding.attempts,
            thread: finding.thread,
            note: finding.note,
            cause,
            verdict,
            also: Vec::new(),
            repeats: 0,
            call: finding.call,
            calls,
            runtimes,
            threads: Vec::new(),
            threads_left_out: 0,
            events: events(EVENTS, finding.at),
            functions: functions(FUNCTIONS, now),
            system,
            policy: rules::explain(finding.site),
            program: program::program(),
            report: None,
            awaited: finding.threads,
        };
        incident.begin();
        incident
    }

    /// Takes in what is found out about the threads in the time that the first line of a report may take.
    fn begin(&mut self) {
        if let Some(looked) = self.awaited.as_ref().and_then(|awaited| awaited.first(PATIENCE)) {
            self.show(&looked);
        }
    }

    fn show(&mut self, Looked { threads, left_out }: &Looked) {
        self.threads_left_out = *left_out;
        if self.threads.is_empty()
            && let Some(doing) = cause::doing(threads)
        {
            self.cause = format!("{}; {doing}", self.cause);
        }
        self.threads = threads.to_vec();
    }

    /// The same incident, seen again while it lasts: newer evidence for what was told before.
    pub(super) fn again(&self, finding: Finding) -> Self {
        let Self { severity, time, ref also, repeats, .. } = *self;
        Self { time, also: also.clone(), repeats, ..Self::join(self.id, finding, severity) }
    }

    /// What is remembered of it until it is over.
    pub(super) fn without_evidence(&self) -> Self {
        let (calls, threads, events, functions) = (Tree::default(), Vec::new(), Vec::new(), Vec::new());
        Self { calls, threads, awaited: None, events, functions, policy: None, ..self.clone() }
    }

    /// Whether somebody still looks at the threads.
    pub(super) fn is_incomplete(&self) -> bool {
        self.awaited.is_some()
    }

    /// Takes in what was found out about the threads since, after waiting at most `patience` for the last of it; whether anything was.
    pub(super) fn complete(&mut self, patience: Duration) -> bool {
        let Some(awaited) = &self.awaited else { return false };
        let Some(looked) = awaited.last(patience) else { return false };
        if awaited.is_done() {
            self.awaited = None;
        }
        let is_new = self.threads[..] != looked.threads[..];
        self.show(&looked);
        is_new
    }

    /// The report as JSON, version 1; its schema is in the documentation.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        render::json(self)
    }

    /// From when it was found until it was over; `None` while it stands.
    #[must_use]
    pub fn lasted(&self) -> Option<Duration> {
        self.resolved?.duration_since(self.time).ok()
    }

    /// The report for a person, without the evidence.
    pub(crate) fn brief(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = render::brief(self, &mut out);
        out
    }

    /// One line: what, where, how long.
    #[must_use]
    pub fn summary(&self) -> String {
        render::summary(self)
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::text(self, f)
    }
}

/// The last `count` events, as seen from `now`.
pub(super) fn events(count: usize, now: Tick) -> Vec<RecentEvent> {
    recorder::last(count).iter().map(|record| RecentEvent::of(record, now)).collect()
}

/// The progress of the `count` most recently active functions.
pub(super) fn functions(count: usize, now: Tick) -> Vec<FunctionProgress> {
    recorder::progress().iter().take(count).map(|progress| FunctionProgress::of(progress, now)).collect()
}

impl RecentEvent {
    fn of(record: &Record, found: Tick) -> Self {
        Self {
            ago: found.since(record.at),
            what: record.fact.as_str(),
            function: record.site.map(|site| site.name()),
            detail: record.detail(),
            elapsed: record.elapsed,
        }
    }
}

impl FunctionProgress {
    fn of(progress: &Progress, now: Tick) -> Self {
        Self {
            function: progress.site.name(),
            calls: progress.calls,
            in_flight: progress.in_flight,
            queued: progress.queued,
            last_queued: progress.last_queued.map(|at| now.since(at)),
            last_started: progress.last_started.map(|at| now.since(at)),
            last_finished: progress.last_finished.map(|at| now.since(at)),
        }
    }
}
