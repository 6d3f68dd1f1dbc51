//! How an attempt ended, what follows from it, and the error that says so.

use std::error::Error;
use std::time::Duration;

use super::admission::{InLine, Refusal};
use super::call::Call;
use super::poll::End;
use super::returned::Returns;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{Limits, OVER, Plan, Ticket};
use crate::incident::IncidentId;
use crate::observe;
use crate::outcome::{Facts, Outcome, Rejection, TimeoutError, TimeoutKind};
use crate::policy::{OnLate, Origin};
use crate::resilience::retry::{self, Failure, Next};
use crate::watchdog::{self, Expiry};

impl Call {
    /// How the attempt ended, judged by the clock: the deadline decides.
    pub(super) fn conclude<R, S: Returns<R>>(&mut self, returns: S, end: End<R>) -> (R, Outcome) {
        let now = self.clock.now();
        self.ended = Some(now);
        let (overdue, outcome) = self.judge(&returns, &end, now);
        // Known before the error is made: that is the user's code, which may panic.
        self.judged = Some(outcome);
        let returned = match end {
            End::Refused(refusal) => returns.timed_out(self.injected(refusal, now)),
            End::Expired(expiry) => returns.timed_out(self.error(expiry, now).caused_by(self.in_line())),
            End::Returned(returned) => judged(returns, returned, overdue, self.policy.on_late.value, |expiry| self.error(expiry, now)),
        };
        self.judged = None;
        // What a body that never began would have done nobody knows: the breaker is told nothing.
        let permit = self.permit.take().filter(|_| self.line.is_none());
        if let Some(state) = self.state {
            let succeeded = outcome == Outcome::Ok || outcome == Outcome::Late && self.policy.on_late.value == OnLate::Value;
            state.settle(self.site, self.policy, permit, succeeded, now);
        }
        // What the attempt held is free before the pause to the next one.
        (self.line, self.injected, self.seat) = (None, None, None);
        (returned, outcome)
    }

    fn judge<R, S: Returns<R>>(&self, returns: &S, end: &End<R>, now: Tick) -> (Option<Expiry>, Outcome) {
        match end {
            End::Refused(_) => (None, Outcome::Error),
            End::Expired(expiry) => (Some(*expiry), outcome_of(*expiry)),
            End::Returned(returned) => {
                let failed = returns.failed(returned);
                let overdue = self.overdue(now, !failed);
                (overdue, outcome(failed, overdue))
            }
        }
    }

    /// Whether the body came back after the attempt should have ended.
    pub(super) fn overdue(&self, now: Tick, well: bool) -> Option<Expiry> {
        if let Some((expiry, _)) = self.ending {
            return Some(expiry);
        }
        let ticket = self.ticket.as_ref()?;
        if watchdog::expiry(self.flags()).is_some_and(|expiry| self.acquit(expiry)) || now < self.due && self.flags() & OVER == 0 {
            return None;
        }
        overdue(ticket, now, well)
    }

    /// That the attempt has not come to its body yet.
    fn in_line(&self) -> Option<Box<dyn Error + Send + Sync>> {
        self.line.as_ref()?;
        Some(Box::new(InLine(self.policy.concurrency.value?)))
    }

    /// The call is not let in.
    pub(super) fn refuse<R, S: Returns<R>>(&mut self, returns: S, by: Rejection) -> (R, Outcome) {
        // An attempt that was not let in is one.
        self.attempt += 1;
        observe::event(&Event::Rejected { site: self.site, by });
        let origin = match by {
            Rejection::Fenced => self.policy.origin(self.site, |policy| &policy.fenced),
            Rejection::BreakerOpen => self.policy.origin(self.site, |policy| &policy.breaker),
            Rejection::RateLimited => self.policy.origin(self.site, |policy| &policy.rate_limit),
        };
        let fault = self.fault(TimeoutKind::Rejected(by), origin, self.clock.now());
        let error = TimeoutError::new(Facts { source: self.before.clone(), ..fault.into_facts() });
        self.judged = Some(Outcome::Rejected);
        let returned = returns.timed_out(error);
        self.judged = None;
        (returned, Outcome::Rejected)
    }

    #[cfg(feature = "inject")]
    fn injected(&self, refusal: Refusal, now: Tick) -> TimeoutError {
        self.fault(TimeoutKind::Injected, Origin::BuiltIn, now).caused_by(Some(Box::new(refusal)))
    }

    #[cfg(not(feature = "inject"))]
    fn injected(&self, refusal: Refusal, _now: Tick) -> TimeoutError {
        match refusal {}
    }

    /// When the next attempt begins; `None` where the outcome stands.
    pub(super) fn another(&mut self, outcome: Outcome) -> Option<Tick> {
        let failure = match outcome {
            Outcome::Timeout | Outcome::Idle => Failure::Timeout,
            Outcome::Error => Failure::Error,
            Outcome::Rejected => Failure::Rejected,
            _ => return None,
        };
        let policy = self.policy;
        let (attempt, now, end) = (self.attempt.max(1), self.clock.now(), self.end());
        let (rule, pauses) = (policy.retry.value.as_ref()?, self.pauses.as_mut()?);
        self.ended = None;
        match retry::decide(rule, failure, attempt, now, end, pauses) {
            Next::Stop(_) => None,
            Next::Again { pause, at } => {
                // No limit runs during the pause.
                if let Some(ticket) = &self.ticket {
                    ticket.record().limit(&Limits { attempt, ..Limits::NONE }, None, None);
                }
                self.attempt = attempt;
                observe::event(&Event::Retrying { site: self.site, attempt: attempt + 1, pause });
                Some(at)
            }
        }
    }

    /// When no further attempt is worth beginning: the end of the whole call, or of its caller.
    pub(super) fn end(&self) -> Tick {
        self.inherited().map_or(Tick::NEVER, |deadline| deadline.at).min(self.total_at())
    }

    fn fault(&self, kind: TimeoutKind, set_by: Origin, now: Tick) -> TimeoutError {
        TimeoutError::new(Facts {
            function: self.site.name(),
            kind,
            limit: Duration::ZERO,
            elapsed: now.since(self.started),
            attempt: self.attempt.max(1),
            attempts: self.attempts,
            set_by,
            incident: None,
            source: None,
        })
    }

    fn error(&self, expiry: Expiry, now: Tick) -> TimeoutError {
        let deadline = self.terms.as_ref().and_then(|terms| terms.watched.clone());
        let incident = self.ticket.as_ref().map_or(0, |ticket| ticket.record().incident());
        let (function, kind, limit, set_by) = match (expiry, deadline) {
            (Expiry::Limit, Some(deadline)) => (deadline.site.name(), deadline.kind, deadline.limit, deadline.set_by),
            _ => {
                let idle = &self.policy.idle;
                (self.site.name(), TimeoutKind::Idle, idle.value.unwrap_or_default(), self.policy.origin(self.site, |policy| &policy.idle))
            }
        };
        let incident = reported(incident);
        TimeoutError::new(Facts { function, limit, incident, ..self.fault(kind, set_by, now).into_facts() })
    }
}

/// How a call ended whose body returned. `overdue`: it should have ended before.
pub(super) fn outcome(failed: bool, overdue: Option<Expiry>) -> Outcome {
    match overdue {
        None if failed => Outcome::Error,
        None => Outcome::Ok,
        Some(expiry) if failed => outcome_of(expiry),
        Some(_) => Outcome::Late,
    }
}

/// What the caller of a body that returned gets. `overdue`: the attempt should have ended before.
pub(super) fn judged<R, S: Returns<R>>(
    returns: S,
    returned: R,
    overdue: Option<Expiry>,
    on_late: OnLate,
    error: impl FnOnce(Expiry) -> TimeoutError,
) -> R {
    match overdue {
        None => returned,
        Some(expiry) if returns.failed(&returned) => {
            let error = error(expiry).caused_by(returns.into_source(returned));
            returns.timed_out(error)
        }
        Some(_) if on_late == OnLate::Value => returned,
        Some(expiry) => returns.timed_out(error(expiry).late()),
    }
}

/// Why the call must have ended by now, if it must. `well`: its body has come back with a value. The watchdog may not have come by yet: then the
/// report is made here.
pub(super) fn overdue(ticket: &Ticket, now: Tick, well: bool) -> Option<Expiry> {
    let (record, judge) = (ticket.record(), if well { watchdog::came_back } else { watchdog::expire });
    let found = judge(ticket.id(), record, &record.view()?, now);
    watchdog::expiry(record.flags()).or(found)
}

/// The limit of a call without layers has passed.
pub(super) fn limit_passed(plan: Option<&Plan>, elapsed: Duration, incident: u64) -> TimeoutError {
    TimeoutError::new(Facts {
        function: plan.map_or("", |plan| plan.site.name()),
        kind: TimeoutKind::Limit,
        limit: plan.and_then(|plan| plan.policy.timeout.value).unwrap_or_default(),
        elapsed,
        attempt: 1,
        attempts: 1,
        set_by: plan.map_or(Origin::BuiltIn, |plan| plan.policy.origin(plan.site, |policy| &policy.timeout)),
        incident: reported(incident),
        source: None,
    })
}

fn reported(incident: u64) -> Option<IncidentId> {
    (incident != 0).then_some(IncidentId(incident))
}

/// How a call ended that was given up.
pub(super) fn outcome_of(expiry: Expiry) -> Outcome {
    match expiry {
        Expiry::Limit => Outcome::Timeout,
        Expiry::Idle => Outcome::Idle,
    }
}
