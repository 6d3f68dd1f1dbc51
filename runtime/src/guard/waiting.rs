//! A call without layers that waits: it has a record, and the watchdog looks after it.

use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use super::current;
use super::idle;
use super::returned::Returns;
use super::verdict::{self, outcome_of};
use crate::clock::Tick;
use crate::coarse;
use crate::flight::{self, BEATS, COARSE, OVER, Record, Ticket};
use crate::observe;
use crate::outcome::{Outcome, TimeoutError};
use crate::policy::OnLate;
use crate::site::Site;
use crate::watchdog::{self, Expiry};

/// See the module.
pub(super) struct Waiting(Ticket);

/// Polls the body of the call of `record`, once more where the call must end: what it has to say then is heard. `Err`: it has nothing to say.
#[inline]
pub(super) fn poll<F: Future>(record: &'static Record, body: Pin<&mut F>, cx: &mut task::Context<'_>) -> Poll<Result<F::Output, Expiry>> {
    let expired = watchdog::expiry(record.flags());
    match current::inside(record, now(), || body.poll(cx)) {
        Poll::Ready(returned) => Poll::Ready(Ok(returned)),
        Poll::Pending => match expired {
            Some(expiry) => Poll::Ready(Err(expiry)),
            None => {
                record.wait(cx.waker());
                Poll::Pending
            }
        },
    }
}

impl Waiting {
    #[inline]
    pub(super) fn new(ticket: Ticket) -> Self {
        Self(ticket)
    }

    #[inline]
    pub(super) fn into_ticket(self) -> Ticket {
        self.0
    }

    /// The body returned, or the call must end.
    #[inline]
    pub(super) fn end<R, S: Returns<R>>(self, site: &'static Site, returns: S, ended: Result<R, Expiry>) -> R {
        match ended {
            Ok(returned) if !returns.failed(&returned) => match self.quickly(site) {
                Ok(()) => returned,
                Err(this) => this.conclude(returns, Ok(returned)),
            },
            ended => self.conclude(returns, ended),
        }
    }

    /// Counts a call that began in this tick and went well.
    #[inline(never)]
    fn quickly(self, site: &'static Site) -> Result<(), Self> {
        let record = self.0.record();
        let began = record.started().as_nanos();
        if record.flags() & (OVER | COARSE | BEATS) == COARSE
            && coarse::now() == began
            && let Some(slot) = flight::present().and_then(|here| here.slot(site))
            && slot.count(began)
        {
            return Ok(());
        }
        Err(self)
    }

    /// The call is over: judged by the clock, because the deadline decides.
    #[cold]
    pub(super) fn conclude<R, S: Returns<R>>(self, returns: S, ended: Result<R, Expiry>) -> R {
        let now = Tick::now();
        let overdue = match ended {
            Ok(ref returned) => verdict::overdue(&self.0, now, !returns.failed(returned)),
            Err(expiry) => Some(expiry),
        };
        // Counted first: what makes the error is the user's code, which may panic.
        match ended {
            Ok(returned) => {
                let on_late = self.0.record().plan().map_or(OnLate::Value, |plan| plan.policy.on_late.value);
                self.count(verdict::outcome(returns.failed(&returned), overdue), now);
                verdict::judged(returns, returned, overdue, on_late, |_| self.error(now))
            }
            Err(expiry) => {
                self.count(outcome_of(expiry), now);
                returns.timed_out(self.error(now))
            }
        }
    }

    /// Counts the call, and tells its callers that it went well.
    fn count(&self, outcome: Outcome, now: Tick) {
        let record = self.0.record();
        let Some(plan) = record.plan() else { return };
        if outcome == Outcome::Ok && record.flags() & BEATS != 0 {
            idle::beat_up(record.parent());
        }
        count(plan.site, record.started(), record.flags() & COARSE != 0, outcome, now);
    }

    fn error(&self, now: Tick) -> TimeoutError {
        let record = self.0.record();
        verdict::limit_passed(record.plan(), now.since(record.started()), record.incident())
    }

    /// Who drops the future cancels the call; or its body has panicked.
    #[cold]
    pub(super) fn left(self) {
        let outcome = if self.0.record().in_poll() { Outcome::Panicked } else { Outcome::Cancelled };
        self.count(outcome, Tick::now());
    }
}

/// When a poll begins, in nanoseconds: by the coarse time, while somebody keeps it.
#[inline]
pub(super) fn now() -> u64 {
    match coarse::now() {
        0 => exactly(),
        tick => tick,
    }
}

#[cold]
fn exactly() -> u64 {
    coarse::missed();
    Tick::now().as_nanos()
}

fn count(site: &'static Site, started: Tick, coarsely: bool, outcome: Outcome, now: Tick) {
    let most = u64::try_from(now.since(started).as_nanos()).unwrap_or(u64::MAX);
    match flight::here().and_then(|here| here.slot_or_new(site)) {
        Some(slot) => {
            let elapsed = if coarsely { estimate(slot.sample(), most) } else { most };
            slot.measured(elapsed);
            observe::ended(site, slot.calls, now, outcome, Duration::from_nanos(elapsed));
        }
        None => observe::event(&crate::event::Event::Finished { site, at: now, outcome, elapsed: Duration::from_nanos(most), attempt: 1 }),
    }
}

/// How long a call took that began within a tick, `most` ago at most: as long as the last measured one, where that can be.
pub(super) fn estimate(sample: Option<u64>, most: u64) -> u64 {
    let least = most.saturating_sub(coarse::TICK.as_nanos() as u64);
    sample.unwrap_or(most).clamp(least, most)
}
