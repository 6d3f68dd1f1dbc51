//! One running call, as plain atomics: written by the call, read by the watchdog, locked by nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use atomic_waker::AtomicWaker;

use super::terms::Terms;
use crate::clock::Tick;
use crate::site::{Site, sites};

/// Holds that one call can have at a time; further ones share the last place and last as long as the longest of them.
pub(crate) const HOLDS: usize = 4;

/// What is known about a call from the moment it is entered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) site: &'static Site,
    pub(crate) parent: Option<CallId>,
    pub(crate) started: Tick,
    /// Follows tokio's paused clock: the call watches its own limits, the watchdog only its polls.
    pub(crate) paused_clock: bool,
}

/// The limits that the watchdog checks; they change from attempt to attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) deadline: Tick,
    /// The deadline is the caller's: the caller reports it.
    pub(crate) inherited: bool,
    pub(crate) warn: Tick,
    /// `NEVER` in nanoseconds: no idle limit.
    pub(crate) idle: Duration,
    pub(crate) blocked_after: Duration,
    /// Report the deadline, and let the call run.
    pub(crate) only_report: bool,
    pub(crate) attempt: u32,
}

impl Limits {
    /// Of a sleep: nothing but its end.
    pub(crate) fn alarm(deadline: Tick) -> Self {
        Self {
            deadline,
            inherited: false,
            warn: Tick::NEVER,
            idle: Duration::MAX,
            blocked_after: Duration::MAX,
            only_report: false,
            attempt: 1,
        }
    }
}

/// Names one call for as long as the process lives: the place of its record, and how often the place was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallId {
    pub(crate) place: u32,
    pub(crate) generation: u32,
}

impl CallId {
    /// As one number, for snapshots and reports.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }
}

/// The deadline passed; the call must end.
pub(crate) const FIRED: u32 = 1;
/// The idle time passed; the call must end.
pub(crate) const SILENT: u32 = 2;
/// The warning of a slow call is out.
pub(crate) const WARNED: u32 = 4;
/// The deadline was reported, and the call runs on.
pub(crate) const REPORTED: u32 = 8;

/// See the module.
#[derive(Default)]
pub(crate) struct Record {
    /// `generation << 32 | flags`. An odd generation is in use.
    state: AtomicU64,
    /// The next free place, while this one is free.
    pub(super) next: AtomicU32,
    site: AtomicUsize,
    parent: AtomicU64,
    started: AtomicU64,
    deadline: AtomicU64,
    warn: AtomicU64,
    idle: AtomicU64,
    blocked_after: AtomicU64,
    attempt: AtomicU32,
    /// Bits of `INHERITED`, `ONLY_REPORT`, `PAUSED`, `ALARM`.
    kind: AtomicU32,
    /// Twice the number of polls, plus one while a poll lasts.
    polls: AtomicU64,
    thread: AtomicU32,
    beat: AtomicU64,
    progress: ArcSwapOption<String>,
    terms: ArcSwapOption<Terms>,
    /// The generation of the call whose terms these are.
    terms_of: AtomicU32,
    /// Whether the call has told its progress.
    told: AtomicBool,
    holds: [AtomicU64; HOLDS],
    incident: AtomicU64,
    /// Written by the watchdog alone.
    pub(crate) seen: Seen,
    pub(crate) waker: AtomicWaker,
}

/// The watchdog's own notes on a record: the poll it saw last, and when it first saw it.
#[derive(Default)]
pub(crate) struct Seen {
    generation: AtomicU32,
    polls: AtomicU64,
    since: AtomicU64,
}

impl Seen {
    /// For how long the poll that lasts now has been seen; notes it if it is new.
    pub(crate) fn watch(&self, view: &View, now: Tick) -> Duration {
        if self.generation.load(Relaxed) != view.generation || self.polls.load(Relaxed) != view.polls {
            self.since.store(now.as_nanos(), Relaxed);
            self.polls.store(view.polls, Relaxed);
            self.generation.store(view.generation, Relaxed);
        }
        self.lasting(view, now)
    }

    /// For how long the poll that lasts now has been seen.
    pub(crate) fn lasting(&self, view: &View, now: Tick) -> Duration {
        let same = self.generation.load(Relaxed) == view.generation && self.polls.load(Relaxed) == view.polls;
        if same { now.since(Tick::from_nanos(self.since.load(Relaxed))) } else { Duration::ZERO }
    }
}

const INHERITED: u32 = 1;
const ONLY_REPORT: u32 = 2;
const PAUSED: u32 = 4;
const ALARM: u32 = 8;
const NO_SITE: usize = usize::MAX;

impl Record {
    /// Takes a free record into use. Only its owner, who popped it from the free list, calls this.
    pub(super) fn occupy(&self, entry: Option<&Entry>) -> u32 {
        let started = entry.map_or(0, |entry| entry.started.as_nanos());
        self.site.store(entry.map_or(NO_SITE, |entry| entry.site.id()), Relaxed);
        self.parent.store(entry.and_then(|entry| entry.parent).map_or(0, CallId::number), Relaxed);
        self.started.store(started, Relaxed);
        self.beat.store(started, Relaxed);
        self.polls.store(0, Relaxed);
        self.incident.store(0, Relaxed);
        for at in [&self.deadline, &self.warn, &self.idle, &self.blocked_after] {
            at.store(u64::MAX, Relaxed);
        }
        for hold in &self.holds {
            hold.store(0, Relaxed);
        }
        let kind = match entry {
            None => ALARM,
            Some(entry) if entry.paused_clock => PAUSED,
            Some(_) => 0,
        };
        self.kind.store(kind, Relaxed);
        let generation = self.generation().wrapping_add(1);
        self.state.store(u64::from(generation) << 32, Release);
        generation
    }

    /// Gives the record back; whoever still reads it sees the generation change.
    pub(super) fn vacate(&self) {
        self.state.store(u64::from(self.generation().wrapping_add(1)) << 32, Release);
        self.waker.take();
        if self.told.swap(false, Relaxed) {
            self.progress.store(None);
        }
    }

    fn generation(&self) -> u32 {
        (self.state.load(Relaxed) >> 32) as u32
    }

    /// The flags that are up.
    pub(crate) fn flags(&self) -> u32 {
        self.state.load(Acquire) as u32
    }

    /// Raises `flag` if the call of this generation still runs and the flag was down.
    pub(crate) fn raise(&self, generation: u32, flag: u32) -> bool {
        let raised = |state: u64| ((state >> 32) as u32 == generation && state as u32 & flag == 0).then_some(state | u64::from(flag));
        self.state.fetch_update(AcqRel, Acquire, raised).is_ok()
    }

    /// Takes all flags down, for a new attempt.
    pub(crate) fn lower_all(&self) {
        self.state.fetch_and(!u64::from(u32::MAX), AcqRel);
        self.incident.store(0, Relaxed);
    }

    /// Shows the terms of the attempt that runs.
    pub(crate) fn show(&self, generation: u32, terms: Arc<Terms>) {
        self.terms.store(Some(terms));
        self.terms_of.store(generation, Release);
    }

    /// The terms of the attempt that runs, once it has waited; `None` before, and for an alarm.
    pub(crate) fn terms(&self, generation: u32) -> Option<Arc<Terms>> {
        (self.terms_of.load(Acquire) == generation).then(|| self.terms.load_full())?
    }

    /// Sets the limits of the attempt that begins.
    pub(crate) fn limit(&self, limits: &Limits) {
        let kept = self.kind.load(Relaxed) & (PAUSED | ALARM);
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        self.kind.store(kept | bit(limits.inherited, INHERITED) | bit(limits.only_report, ONLY_REPORT), Relaxed);
        self.attempt.store(limits.attempt, Relaxed);
        self.warn.store(limits.warn.as_nanos(), Relaxed);
        self.idle.store(u64::try_from(limits.idle.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.blocked_after.store(u64::try_from(limits.blocked_after.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.deadline.store(limits.deadline.as_nanos(), Release);
    }

    /// Notes that a poll begins on `thread`.
    pub(crate) fn begin_poll(&self, thread: u32) {
        self.thread.store(thread, Relaxed);
        self.polls.store(self.polls.load(Relaxed) | 1, Release);
    }

    /// Notes that the poll has returned.
    pub(crate) fn end_poll(&self) {
        self.polls.store((self.polls.load(Relaxed) | 1) + 1, Release);
    }

    /// Notes a sign of life.
    pub(crate) fn beat(&self, now: Tick) {
        self.beat.fetch_max(now.as_nanos(), Relaxed);
    }

    /// Starts the silence anew, for a new attempt.
    pub(crate) fn restart_silence(&self, now: Tick) {
        self.beat.store(now.as_nanos(), Relaxed);
    }

    /// Notes how far the body has come.
    pub(crate) fn set_progress(&self, progress: String) {
        self.told.store(true, Relaxed);
        self.progress.store(Some(Arc::new(progress)));
    }

    /// What `beat_with` said last.
    pub(crate) fn progress(&self) -> Option<String> {
        self.progress.load().as_deref().cloned()
    }

    /// Declares a silent stretch until `until`; the place it holds.
    pub(crate) fn hold(&self, until: Tick) -> usize {
        let until = until.as_nanos();
        let free = self.holds[..HOLDS - 1].iter().position(|hold| hold.compare_exchange(0, until, AcqRel, Relaxed).is_ok());
        free.unwrap_or_else(|| {
            self.holds[HOLDS - 1].fetch_max(until, AcqRel);
            HOLDS - 1
        })
    }

    /// Ends a declared stretch. The shared last place stays until its time is over.
    pub(crate) fn release(&self, place: usize) {
        if place < HOLDS - 1 {
            self.holds[place].store(0, Release);
        }
    }

    /// The incident that reports this call; 0 without one.
    pub(crate) fn incident(&self) -> u64 {
        self.incident.load(Acquire)
    }

    /// Notes the incident, before the flag that makes the call look for it is raised.
    pub(crate) fn set_incident(&self, incident: u64) {
        self.incident.store(incident, Release);
    }

    /// The call that this one was made in.
    pub(crate) fn parent(&self) -> Option<CallId> {
        split(self.parent.load(Relaxed))
    }

    /// Whether the call of this generation still runs.
    pub(super) fn is(&self, generation: u32) -> bool {
        self.generation() == generation
    }

    /// Everything a judge needs, read at one moment; `None` where no call runs here.
    pub(crate) fn view(&self) -> Option<View> {
        let state = self.state.load(Acquire);
        let generation = (state >> 32) as u32;
        if generation & 1 == 0 {
            return None;
        }
        let kind = self.kind.load(Relaxed);
        let last_hold = self.holds.iter().map(|hold| hold.load(Relaxed)).max().unwrap_or(0);
        let view = View {
            generation,
            flags: state as u32,
            site: sites().get(self.site.load(Relaxed)).copied(),
            parent: split(self.parent.load(Relaxed)),
            started: Tick::from_nanos(self.started.load(Relaxed)),
            deadline: Tick::from_nanos(self.deadline.load(Acquire)),
            warn: Tick::from_nanos(self.warn.load(Relaxed)),
            idle: self.idle.load(Relaxed),
            blocked_after: Duration::from_nanos(self.blocked_after.load(Relaxed)),
            attempt: self.attempt.load(Relaxed),
            polls: self.polls.load(Acquire),
            thread: self.thread.load(Relaxed),
            beat: Tick::from_nanos(self.beat.load(Relaxed)),
            vouched_until: Tick::from_nanos(last_hold),
            inherited: kind & INHERITED != 0,
            only_report: kind & ONLY_REPORT != 0,
            paused_clock: kind & PAUSED != 0,
            alarm: kind & ALARM != 0,
        };
        // A call that ended meanwhile may have left a mixture: the next sweep sees whoever came after it.
        ((self.state.load(Acquire) >> 32) as u32 == generation).then_some(view)
    }
}

fn split(number: u64) -> Option<CallId> {
    (number != 0).then_some(CallId { place: number as u32, generation: (number >> 32) as u32 })
}

/// A [`Record`] as it stood at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) generation: u32,
    pub(crate) flags: u32,
    /// `None` for an alarm.
    pub(crate) site: Option<&'static Site>,
    pub(crate) parent: Option<CallId>,
    pub(crate) started: Tick,
    pub(crate) deadline: Tick,
    pub(crate) warn: Tick,
    /// Nanoseconds; `u64::MAX`: none.
    pub(crate) idle: u64,
    pub(crate) blocked_after: Duration,
    pub(crate) attempt: u32,
    pub(crate) polls: u64,
    pub(crate) thread: u32,
    pub(crate) beat: Tick,
    pub(crate) vouched_until: Tick,
    pub(crate) inherited: bool,
    pub(crate) only_report: bool,
    pub(crate) paused_clock: bool,
    pub(crate) alarm: bool,
}

impl View {
    /// Whether a poll lasts.
    pub(crate) fn polling(&self) -> bool {
        self.polls & 1 == 1
    }

    /// When the silence becomes too long, as things stand.
    pub(crate) fn silent_at(&self) -> Tick {
        if self.idle == u64::MAX {
            return Tick::NEVER;
        }
        self.beat.max(self.vouched_until).after(Duration::from_nanos(self.idle))
    }
}
