//! What only some calls need to be known of them: their records borrow an [`Extra`] for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

use super::Record;
use crate::clock::Tick;
use crate::flight::bits::{OVER, REPORTED, WARNED};
use crate::flight::extra::{Extra, Limits};
use crate::flight::table;
use crate::flight::terms::Terms;
use crate::outcome::TimeoutKind;
use crate::text::Text;

impl Record {
    /// What only some calls have; `None` where there are no more.
    pub(crate) fn extra(&self) -> Option<&'static Extra> {
        Extra::at(self.extra.load(Acquire)).or_else(|| self.borrow())
    }

    #[cold]
    fn borrow(&self) -> Option<&'static Extra> {
        let extra = Extra::take()?;
        match self.extra.compare_exchange(0, extra.place(), AcqRel, Acquire) {
            Ok(_) => Some(extra),
            Err(present) => {
                extra.give_back();
                Extra::at(present)
            }
        }
    }

    /// A sign of life: the silence begins anew.
    pub(crate) fn beat(&self) {
        if let Some(extra) = self.extra() {
            extra.beat(self.clock().now());
        }
    }

    /// A hold ends, which is a sign of life: the silence may be too long earlier than the hold has let it seem.
    pub(crate) fn release(&self, place: usize) {
        if let Some(extra) = self.extra() {
            extra.release(place);
            extra.beat(self.clock().now());
        }
        if let Some(view) = self.view().filter(|view| view.idle != u64::MAX && !view.paused_clock) {
            table::expect(self, view.silent_at(), true);
        }
    }

    pub(super) fn with_extra<R>(&self, read: impl FnOnce(&'static Extra) -> R) -> Option<R> {
        Extra::at(self.extra.load(Acquire)).map(read)
    }

    /// Begins an attempt with limits of its own. `again`: after another one, whose flags are taken down.
    pub(crate) fn limit(&self, limits: &Limits, terms: Option<Arc<Terms>>, again: Option<Tick>) {
        let Some(extra) = self.extra() else { return };
        if let Some(now) = again {
            self.life.lower(OVER | WARNED | REPORTED);
            extra.restart_silence(now);
        }
        if let Some(terms) = terms {
            self.due.store(terms.due(), Relaxed);
            extra.show(terms);
        }
        extra.limit(limits);
    }

    /// From `now` on the call must not be silent for longer than that.
    pub(crate) fn watch_silence(&self, idle: Duration, now: Tick) {
        if let Some(extra) = self.extra() {
            extra.restart_silence(now);
            extra.watch_silence(idle);
        }
    }

    /// The attempt that runs is not over: the flags that say so were meant for the one before.
    pub(crate) fn acquit(&self, terms: &Terms) {
        self.life.lower(OVER);
        self.due.store(terms.due(), Relaxed);
    }

    /// The terms of the attempt that runs, where they are not simply those of its plan.
    pub(crate) fn shown(&self) -> Option<Arc<Terms>> {
        self.with_extra(Extra::terms).flatten()
    }

    /// What `beat_with` said last, as much as fits.
    pub(crate) fn said<const N: usize>(&self) -> Text<N> {
        self.with_extra(Extra::said).unwrap_or(Text::EMPTY)
    }

    /// Why the deadline of the attempt that runs is there, where it is not simply that of its plan.
    pub(crate) fn deadline_kind(&self) -> Option<TimeoutKind> {
        self.with_extra(Extra::deadline_kind).flatten()
    }

    /// What `beat_with` said last.
    pub(crate) fn progress(&self) -> Option<String> {
        self.with_extra(Extra::progress).flatten()
    }
}
