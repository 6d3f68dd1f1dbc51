//! One guarded call while it runs: its record, its limits, its attempts, and how it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use super::admission::{Admission, Prelude, Refusal};
use super::cancel::Cancel;
use super::context::{self, Context};
use super::idle;
use super::returned::Returns;
use crate::clock::{Clock, Tick};
use crate::event::Event;
use crate::flight::{self, Deadline, Entry, FIRED, Limits, SILENT, Terms, Ticket};
use crate::incident::IncidentId;
use crate::observe;
use crate::outcome::{Facts, Outcome, Rejection, TimeoutError, TimeoutKind};
use crate::policy::{self, OnLate, OnTimeout, Origin, Policy, WarnAt};
use crate::resilience::breaker::Permit;
use crate::resilience::concurrency::Seat;
use crate::resilience::retry::{self, Backoff, Failure, Next};
use crate::resilience::{self, State};
use crate::site::Site;
use crate::watchdog::{self, Alarm, Expiry};

/// See the module.
pub(super) struct Call {
    pub(super) site: &'static Site,
    pub(super) policy: Arc<Policy>,
    pub(super) clock: Clock,
    pub(super) started: Tick,
    pub(super) attempt: u32,
    pub(super) attempts: u32,
    caller: Option<Arc<Context>>,
    /// `None` where the table was full: the call runs unwatched, and that is counted.
    ticket: Option<Ticket>,
    total: Option<Deadline>,
    /// What breaker, rate limit and bulkhead remember of the function; `None` where it has none.
    pub(super) state: Option<&'static State>,
    pub(super) admission: Option<Admission>,
    pub(super) permit: Option<Permit<'static>>,
    prelude: Option<Prelude>,
    seat: Option<Seat>,
    pauses: Option<Backoff>,
    /// What the body sees, while it is not being polled.
    context: Option<Arc<Context>>,
    /// Under tokio's paused clock: what the watchdog does otherwise.
    alarm: Option<Box<Alarm>>,
    /// The attempt must end, since its limit passed; with the end of its grace.
    ending: Option<(Expiry, Tick)>,
    polling: bool,
    settled: bool,
}

/// How an attempt ended.
pub(super) enum End<R> {
    /// The body returned.
    Returned(R),
    /// It was given up.
    Expired(Expiry),
    /// A fault was injected in its place.
    Refused(Refusal),
}

impl Call {
    /// Enters a call of `site`; `None` where the policy switches its guard off.
    pub(super) fn begin(site: &'static Site) -> Option<Self> {
        let policy = policy::of(site);
        if !policy.enabled.value {
            return None;
        }
        let clock = Clock::here();
        let started = clock.now();
        let caller = context::current();
        let parent = caller.as_ref().and_then(|caller| caller.call);
        let ticket = Ticket::take(Some(&Entry { site, parent, started, paused_clock: clock == Clock::Paused }));
        if ticket.is_none() {
            observe::event(&Event::Dropped { what: "call" });
        }
        let total = policy.total.value.map(|limit| Deadline {
            at: started.after(limit),
            site,
            kind: TimeoutKind::Total,
            limit,
            set_by: policy.total.origin.clone(),
        });
        observe::event(&Event::Started { site, at: started, attempt: 1 });
        let attempts = policy.retry.value.as_ref().map_or(1, |retry| retry.attempts.max(1));
        Some(Self {
            site,
            clock,
            started,
            attempt: 0,
            attempts,
            caller,
            ticket,
            total,
            state: resilience::of(site, &policy),
            admission: None,
            permit: None,
            prelude: None,
            seat: None,
            pauses: policy.retry.value.as_ref().map(Backoff::new),
            policy,
            context: None,
            alarm: None,
            ending: None,
            polling: false,
            settled: false,
        })
    }

    /// When the whole call must be over; `NEVER` without a total limit.
    pub(super) fn total_at(&self) -> Tick {
        self.total.as_ref().map_or(Tick::NEVER, |total| total.at)
    }

    /// Begins the next attempt: its limits count from now.
    pub(super) fn begin_attempt(&mut self) {
        let now = self.clock.now();
        self.attempt += 1;
        self.ending = None;
        if self.attempt > 1 {
            observe::event(&Event::Started { site: self.site, at: now, attempt: self.attempt });
        }
        let (deadline, inherited) = self.deadline(now);
        // A caller that polls us ends us by dropping us: only where it does not is its deadline ours to watch.
        let watched = deadline.as_ref().filter(|_| !inherited || self.caller.as_ref().is_some_and(|caller| caller.carried));
        let cancel = self.cancel();
        let limits = Limits {
            deadline: watched.map_or(Tick::NEVER, |deadline| deadline.at),
            inherited,
            warn: self.warn(now),
            idle: self.policy.idle.value.unwrap_or(Duration::MAX),
            blocked_after: self.policy.blocked_after.value,
            only_report: self.policy.on_timeout.value == OnTimeout::Warn,
            attempt: self.attempt,
        };
        let heritable = if inherited || !limits.only_report { deadline.clone() } else { self.inheritance().map(Deadline::inherited) };
        let terms = Arc::new(Terms { policy: Arc::clone(&self.policy), attempts: self.attempts, deadline });
        if let Some(ticket) = &self.ticket {
            let record = ticket.record();
            record.lower_all();
            record.restart_silence(now);
            record.set_terms(Arc::clone(&terms));
            record.limit(&limits);
            if self.clock == Clock::Wall {
                watchdog::expect(limits.deadline.min(limits.warn).min(now.after(limits.idle)));
            }
        }
        let call = self.ticket.as_ref().map(Ticket::id);
        self.context = Some(Arc::new(Context { terms, heritable, clock: self.clock, call, cancel, carried: false }));
        self.prelude = self.prelude();
    }

    /// The deadline of the attempt that begins, and whether it is the caller's: the earliest of its own, the whole call's and the caller's.
    fn deadline(&self, now: Tick) -> (Option<Deadline>, bool) {
        let policy = &self.policy;
        let own = policy.timeout.value.map(|limit| Deadline {
            at: now.after(limit),
            site: self.site,
            kind: TimeoutKind::Limit,
            limit,
            set_by: policy.timeout.origin.clone(),
        });
        let own = earlier(own, self.total.clone());
        match (own, self.inheritance()) {
            (Some(own), Some(caller)) if own.at < caller.at => (Some(own), false),
            (_, Some(caller)) => (Some(caller.inherited()), true),
            (own, None) => (own, false),
        }
    }

    /// The deadline that the caller passes on.
    fn inheritance(&self) -> Option<&Deadline> {
        self.caller.as_ref().filter(|_| self.policy.inherit.value).and_then(|caller| caller.heritable.as_ref())
    }

    fn warn(&self, now: Tick) -> Tick {
        match (self.policy.warn_at.value, self.policy.timeout.value) {
            (Some(WarnAt::Elapsed(elapsed)), _) => now.after(elapsed),
            (Some(WarnAt::Fraction(fraction)), Some(limit)) => now.after(limit.mul_f64(fraction.clamp(0.0, 1.0))),
            _ => Tick::NEVER,
        }
    }

    /// A request to stop is only needed where there is a grace between it and the end.
    fn cancel(&self) -> Option<Arc<Cancel>> {
        let caller = self.caller.as_ref().and_then(|caller| caller.cancel.clone());
        if self.policy.grace.value.is_zero() { caller } else { Some(Cancel::within(caller)) }
    }

    /// Polls the attempt's body: it ends by returning, or is given up when its limit has passed and its grace is over.
    pub(super) fn poll_attempt<F: Future>(&mut self, body: Pin<&mut F>, cx: &mut task::Context<'_>) -> Poll<End<F::Output>> {
        if let Some(ticket) = &self.ticket {
            ticket.record().waker.register(cx.waker());
        }
        if self.must_end(cx)
            && let Some((expiry, grace_ends)) = self.ending
            && self.clock.now() >= grace_ends
        {
            return Poll::Ready(End::Expired(expiry));
        }
        self.poll_inside(body, cx)
    }

    /// Polls what runs inside the limit, with this call as the current one.
    fn poll_inside<F: Future>(&mut self, body: Pin<&mut F>, cx: &mut task::Context<'_>) -> Poll<End<F::Output>> {
        let _entered = self.context.clone().map(context::enter);
        if let Some(ticket) = &self.ticket {
            ticket.record().begin_poll(flight::thread::current());
        }
        // Stays up when the body panics: that is how `drop` knows.
        self.polling = true;
        let polled = self.poll_body(body, cx);
        self.polling = false;
        if let Some(ticket) = &self.ticket {
            ticket.record().end_poll();
        }
        if polled.is_pending() && self.clock == Clock::Paused {
            // The body may have ended a hold: what is due next may be due earlier than before.
            self.follow_paused_clock(cx);
        }
        polled
    }

    /// Polls the bulkhead and the injected fault, then the body.
    fn poll_body<F: Future>(&mut self, body: Pin<&mut F>, cx: &mut task::Context<'_>) -> Poll<End<F::Output>> {
        if let Some(prelude) = &mut self.prelude {
            match task::ready!(prelude.as_mut().poll(cx)) {
                Ok(seat) => self.seat = seat,
                Err(refusal) => return Poll::Ready(End::Refused(refusal)),
            }
            self.prelude = None;
        }
        body.poll(cx).map(End::Returned)
    }

    fn flags(&self) -> u32 {
        self.ticket.as_ref().map_or(0, |ticket| ticket.record().flags())
    }

    /// Whether the attempt must end; asks the body to stop when that begins.
    fn must_end(&mut self, cx: &mut task::Context<'_>) -> bool {
        if self.clock == Clock::Paused {
            self.follow_paused_clock(cx);
        }
        let flags = self.flags();
        let expiry = if flags & FIRED != 0 { Expiry::Limit } else { Expiry::Idle };
        if self.ending.is_none() && flags & (FIRED | SILENT) != 0 {
            self.request_stop(expiry);
        }
        if let (Some(_), Some(grace)) = (self.ending, &mut self.alarm) {
            let _ = Pin::new(&mut **grace).poll(cx);
        }
        self.ending.is_some()
    }

    /// The limit has passed: the grace begins.
    fn request_stop(&mut self, expiry: Expiry) {
        let now = self.clock.now();
        let grace_ends = now.after(self.policy.grace.value);
        self.ending = Some((expiry, grace_ends));
        self.alarm = (grace_ends > now).then(|| Box::new(watchdog::sleep_until(self.clock, grace_ends)));
        if let Some(cancel) = self.context.as_ref().and_then(|context| context.cancel.as_ref()) {
            cancel.request();
        }
    }

    /// Does for a call by tokio's paused clock what the watchdog does for all others.
    fn follow_paused_clock(&mut self, cx: &mut task::Context<'_>) {
        let Some(ticket) = self.ticket.as_ref().filter(|_| self.ending.is_none()) else { return };
        let (record, now) = (ticket.record(), self.clock.now());
        let Some(view) = record.view() else { return };
        watchdog::expire(ticket.id(), record, &view, now);
        let next = record.view().map_or(Tick::NEVER, |view| watchdog::next(&view, now));
        let alarm = self.alarm.get_or_insert_with(|| Box::new(watchdog::sleep_until(Clock::Paused, next)));
        alarm.reset(next);
        if Pin::new(&mut **alarm).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// How the attempt ended, judged by the clock: the deadline decides.
    pub(super) fn conclude<R, S: Returns<R>>(&mut self, returns: S, end: End<R>) -> (R, Outcome) {
        let now = self.clock.now();
        let (returned, outcome) = self.judge(returns, end, now);
        // What the attempt held is free before the pause to the next one.
        (self.prelude, self.seat) = (None, None);
        if let Some(state) = self.state {
            let succeeded = matches!(outcome, Outcome::Ok | Outcome::Late);
            state.settle(self.site, &self.policy, self.permit.take(), succeeded, now);
        }
        (returned, outcome)
    }

    fn judge<R, S: Returns<R>>(&self, returns: S, end: End<R>, now: Tick) -> (R, Outcome) {
        match end {
            End::Refused(refusal) => (returns.timed_out(self.injected(refusal, now)), Outcome::Error),
            End::Expired(expiry) => (returns.timed_out(self.error(expiry, now)), outcome_of(expiry)),
            End::Returned(returned) => match self.overdue(now) {
                None if returns.failed(&returned) => (returned, Outcome::Error),
                None => (returned, Outcome::Ok),
                Some(expiry) if returns.failed(&returned) => {
                    let error = self.error(expiry, now).caused_by(returns.into_source(returned));
                    (returns.timed_out(error), outcome_of(expiry))
                }
                Some(_) if self.policy.on_late.value == OnLate::Value => (returned, Outcome::Late),
                Some(expiry) => (returns.timed_out(self.error(expiry, now).late()), Outcome::Late),
            },
        }
    }

    /// Whether the body came back after the attempt should have ended.
    fn overdue(&self, now: Tick) -> Option<Expiry> {
        if let Some((expiry, _)) = self.ending {
            return Some(expiry);
        }
        let ticket = self.ticket.as_ref()?;
        let view = ticket.record().view()?;
        // The watchdog may not have come by yet: then the report is made here.
        watchdog::expire(ticket.id(), ticket.record(), &view, now);
        match self.flags() {
            flags if flags & FIRED != 0 => Some(Expiry::Limit),
            flags if flags & SILENT != 0 => Some(Expiry::Idle),
            _ => None,
        }
    }

    /// The call is not let in.
    pub(super) fn refuse<R, S: Returns<R>>(&mut self, returns: S, by: Rejection) -> (R, Outcome) {
        observe::event(&Event::Rejected { site: self.site, by });
        let origin = match by {
            Rejection::BreakerOpen => self.policy.breaker.origin.clone(),
            Rejection::RateLimited => self.policy.rate_limit.origin.clone(),
            Rejection::Saturated => self.policy.concurrency.origin.clone(),
        };
        let error = self.fault(TimeoutKind::Rejected(by), origin, self.clock.now());
        (returns.timed_out(error), Outcome::Rejected)
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
        let policy = Arc::clone(&self.policy);
        let (attempt, now, end) = (self.attempt.max(1), self.clock.now(), self.end());
        let (rule, pauses) = (policy.retry.value.as_ref()?, self.pauses.as_mut()?);
        match retry::decide(rule, failure, attempt, now, end, pauses) {
            Next::Stop(_) => None,
            Next::Again { pause, at } => {
                // No limit runs during the pause.
                if let Some(ticket) = &self.ticket {
                    ticket.record().limit(&Limits { attempt, ..Limits::alarm(Tick::NEVER) });
                }
                self.attempt = attempt;
                observe::event(&Event::Retrying { site: self.site, attempt: attempt + 1, pause });
                Some(at)
            }
        }
    }

    /// When no further attempt is worth beginning: the end of the whole call, or of its caller.
    fn end(&self) -> Tick {
        self.inheritance().map_or(Tick::NEVER, |deadline| deadline.at).min(self.total_at())
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
        let deadline = self.context.as_ref().and_then(|context| context.deadline().cloned());
        let incident = self.ticket.as_ref().map_or(0, |ticket| ticket.record().incident());
        let (function, kind, limit, set_by) = match (expiry, deadline) {
            (Expiry::Limit, Some(deadline)) => (deadline.site.name(), deadline.kind, deadline.limit, deadline.set_by),
            _ => {
                let idle = &self.policy.idle;
                (self.site.name(), TimeoutKind::Idle, idle.value.unwrap_or_default(), idle.origin.clone())
            }
        };
        let incident = (incident != 0).then_some(IncidentId(incident));
        TimeoutError::new(Facts { function, limit, incident, ..self.fault(kind, set_by, now).into_facts() })
    }

    /// The call is over: counts it once.
    pub(super) fn settle(&mut self, outcome: Outcome) {
        if self.settled {
            return;
        }
        self.settled = true;
        let now = self.clock.now();
        if outcome == Outcome::Ok
            && let Some(caller) = &self.caller
        {
            idle::up(caller.call, |record| record.beat(now));
        }
        observe::event(&Event::Finished { site: self.site, at: now, outcome, elapsed: now.since(self.started), attempt: self.attempt });
    }
}

impl Drop for Call {
    /// Who drops a call before it is over cancels it; or its body has panicked.
    fn drop(&mut self) {
        self.settle(if self.polling { Outcome::Panicked } else { Outcome::Cancelled });
    }
}

fn earlier(one: Option<Deadline>, other: Option<Deadline>) -> Option<Deadline> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.at < one.at { other } else { one }),
        (one, other) => one.or(other),
    }
}

fn outcome_of(expiry: Expiry) -> Outcome {
    match expiry {
        Expiry::Limit => Outcome::Timeout,
        Expiry::Idle => Outcome::Idle,
    }
}
