//! What only some calls need to be known of them: limits of an attempt with layers, signs of life, holds. Lent to a record, and used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::plan::nanos;
use super::terms::Terms;
use crate::clock::Tick;
use crate::outcome::TimeoutKind;
use crate::shelf::Shelf;
use crate::text::Text;

/// Holds that one call can have at a time; further ones share the last place and last as long as the longest of them.
pub(crate) const HOLDS: usize = 4;

/// The limits that the watchdog checks; they change from attempt to attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) deadline: Tick,
    /// The deadline is the caller's: the caller reports it.
    pub(crate) inherited: bool,
    /// See [`View::within`](super::View::within).
    pub(crate) within: bool,
    pub(crate) warn: Tick,
    /// `NEVER` in nanoseconds: no idle limit.
    pub(crate) idle: Duration,
    pub(crate) blocked_after: Duration,
    /// Report the deadline, and let the call run.
    pub(crate) only_report: bool,
    pub(crate) attempt: u32,
}

impl Limits {
    /// None: between two attempts.
    pub(crate) const NONE: Self = Self {
        deadline: Tick::NEVER,
        inherited: false,
        within: false,
        warn: Tick::NEVER,
        idle: Duration::MAX,
        blocked_after: Duration::MAX,
        only_report: false,
        attempt: 1,
    };
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Place of this one, from 1, and of the next free one while this one is free.
    place: u32,
    next: AtomicU32,
    deadline: AtomicU64,
    warn: AtomicU64,
    idle: AtomicU64,
    blocked_after: AtomicU64,
    attempt: AtomicU32,
    kind: AtomicU32,
    beat: AtomicU64,
    holds: [AtomicU64; HOLDS],
    progress: ArcSwapOption<String>,
    terms: ArcSwapOption<Terms>,
}

const INHERITED: u32 = 1;
const ONLY_REPORT: u32 = 2;
const WITHIN: u32 = 4;

static EXTRAS: Shelf<Extra> = Shelf::new();
/// `tag << 32 | place`: the first free one; the tag changes with each take, so that one that came back meanwhile is noticed.
static FREE: AtomicU64 = AtomicU64::new(0);

impl Extra {
    /// The one at a place.
    pub(super) fn at(place: u32) -> Option<&'static Self> {
        EXTRAS.get(place.checked_sub(1)?)
    }

    pub(super) fn place(&self) -> u32 {
        self.place
    }

    /// Takes one into use; `None` where there are no more.
    pub(super) fn take() -> Option<&'static Self> {
        let mut head = FREE.load(Acquire);
        while let Some(extra) = Self::at(head as u32) {
            let after = (head >> 32).wrapping_add(1) << 32 | u64::from(extra.next.load(Relaxed));
            match FREE.compare_exchange_weak(head, after, AcqRel, Acquire) {
                Ok(_) => return Some(extra),
                Err(now) => head = now,
            }
        }
        let extra = EXTRAS.add(|place| Self { place: place + 1, ..Self::default() })?;
        extra.clear();
        Some(extra)
    }

    /// Gives it back.
    pub(super) fn give_back(&self) {
        self.clear();
        let mut head = FREE.load(Acquire);
        loop {
            self.next.store(head as u32, Relaxed);
            let after = head & !u64::from(u32::MAX) | u64::from(self.place);
            match FREE.compare_exchange_weak(head, after, AcqRel, Acquire) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// As new.
    pub(super) fn clear(&self) {
        self.limit(&Limits::NONE);
        self.beat.store(0, Relaxed);
        for hold in &self.holds {
            hold.store(0, Relaxed);
        }
        if self.progress.load().is_some() {
            self.progress.store(None);
        }
        if self.terms.load().is_some() {
            self.terms.store(None);
        }
    }

    /// Sets the limits of the attempt that begins.
    pub(super) fn limit(&self, limits: &Limits) {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        let kind = bit(limits.inherited, INHERITED) | bit(limits.only_report, ONLY_REPORT) | bit(limits.within, WITHIN);
        self.kind.store(kind, Relaxed);
        self.attempt.store(limits.attempt, Relaxed);
        self.warn.store(limits.warn.as_nanos(), Relaxed);
        self.idle.store(nanos(limits.idle), Relaxed);
        self.blocked_after.store(nanos(limits.blocked_after), Relaxed);
        self.deadline.store(limits.deadline.as_nanos(), Release);
    }

    /// Sets the longest silence alone.
    pub(super) fn watch_silence(&self, idle: Duration) {
        self.idle.store(nanos(idle), Relaxed);
    }

    pub(super) fn limits(&self) -> Limits {
        let kind = self.kind.load(Relaxed);
        Limits {
            deadline: Tick::from_nanos(self.deadline.load(Acquire)),
            inherited: kind & INHERITED != 0,
            within: kind & WITHIN != 0,
            warn: Tick::from_nanos(self.warn.load(Relaxed)),
            idle: Duration::from_nanos(self.idle.load(Relaxed)),
            blocked_after: Duration::from_nanos(self.blocked_after.load(Relaxed)),
            only_report: kind & ONLY_REPORT != 0,
            attempt: self.attempt.load(Relaxed),
        }
    }

    /// Shows the terms of the attempt that runs.
    pub(super) fn show(&self, terms: Arc<Terms>) {
        self.terms.store(Some(terms));
    }

    /// Why the deadline is there at which the call is ended.
    pub(super) fn deadline_kind(&self) -> Option<TimeoutKind> {
        self.terms.load().as_ref()?.watched.as_ref().map(|deadline| deadline.kind)
    }

    pub(super) fn terms(&self) -> Option<Arc<Terms>> {
        self.terms.load_full()
    }

    /// Notes a sign of life.
    pub(crate) fn beat(&self, now: Tick) {
        self.beat.fetch_max(now.as_nanos(), Relaxed);
    }

    /// Starts the silence anew, for a new attempt.
    pub(super) fn restart_silence(&self, now: Tick) {
        self.beat.store(now.as_nanos(), Relaxed);
    }

    pub(super) fn last_beat(&self) -> Tick {
        Tick::from_nanos(self.beat.load(Relaxed))
    }

    /// Notes how far the body has come.
    pub(crate) fn set_progress(&self, progress: String) {
        self.progress.store(Some(Arc::new(progress)));
    }

    /// What `beat_with` said last, as much as fits.
    pub(super) fn said<const N: usize>(&self) -> Text<N> {
        self.progress.load().as_deref().map_or(Text::EMPTY, |progress| Text::from_bytes(progress.as_bytes()))
    }

    pub(super) fn progress(&self) -> Option<String> {
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

    pub(super) fn last_hold(&self) -> Tick {
        Tick::from_nanos(self.holds.iter().map(|hold| hold.load(Relaxed)).max().unwrap_or(0))
    }
}
