//! One guarded call with layers while it runs: its record, its attempts, and that it is counted once. `limits` says what limits an attempt,
//! `poll` runs it, `verdict` judges how it ended.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::admission::{Admission, Fault, Line};
use super::current;
use super::idle;
use crate::clock::{Clock, Tick};
use crate::event::Event;
use crate::flight::{CallId, Deadline, Entry, LAYERED, Limits, PAUSED, Plan, Terms, Ticket};
use crate::observe;
use crate::outcome::{Outcome, TimeoutKind};
use crate::policy::{OnTimeout, Policy};
use crate::resilience::breaker::Permit;
use crate::resilience::concurrency::Seat;
use crate::resilience::retry::Backoff;
use crate::resilience::{self, State};
use crate::site::Site;
use crate::watchdog::{Alarm, Expiry};

/// See the module.
pub(super) struct Call {
    pub(super) site: &'static Site,
    pub(super) plan: &'static Plan,
    pub(super) policy: &'static Arc<Policy>,
    pub(super) clock: Clock,
    pub(super) started: Tick,
    pub(super) attempt: u32,
    pub(super) attempts: u32,
    pub(super) parent: Option<CallId>,
    /// What it runs under that calls it.
    pub(super) caller: Option<Arc<Terms>>,
    /// `None` where the table was full: the call runs unwatched, and that is counted.
    pub(super) ticket: Option<Ticket>,
    pub(super) total: Option<Deadline>,
    /// What breaker, rate limit and bulkhead remember of the function; `None` where it has none.
    pub(super) state: Option<&'static State>,
    pub(super) admission: Option<Admission>,
    pub(super) permit: Option<Permit<'static>>,
    pub(super) line: Option<Line>,
    pub(super) injected: Option<Fault>,
    pub(super) seat: Option<Seat>,
    pub(super) pauses: Option<Backoff>,
    /// What the last attempt that was let in failed with: the cause, where the next one is not.
    pub(super) before: Option<Arc<dyn Error + Send + Sync>>,
    /// What the attempt that runs is under; `None` between attempts.
    pub(super) terms: Option<Arc<Terms>>,
    /// Nothing can be due before, unless a flag is up.
    pub(super) due: Tick,
    /// The alarm of a grace; under tokio's paused clock also what the watchdog does otherwise.
    pub(super) alarm: Option<Box<Alarm>>,
    /// The attempt must end, since its limit passed; with the end of its grace.
    pub(super) ending: Option<(Expiry, Tick)>,
    /// When the last attempt ended.
    pub(super) ended: Option<Tick>,
    pub(super) polling: bool,
    /// How it ended, while the user's code makes the error that says so.
    pub(super) judged: Option<Outcome>,
    settled: bool,
}

impl Call {
    /// Enters a call.
    pub(super) fn begin(plan: &'static Plan, clock: Clock) -> Self {
        let (site, policy) = (plan.site, &plan.policy);
        let started = clock.now();
        let parent = current::call();
        let bits = LAYERED | if clock == Clock::Paused { PAUSED } else { 0 };
        let ticket = Ticket::here(&Entry { plan: plan.number, parent, started, due: 0, bits });
        if ticket.is_none() {
            observe::event(&Event::Dropped { what: "call" });
        }
        let total = policy.total.value.map(|limit| Deadline {
            at: started.after(limit),
            site,
            kind: TimeoutKind::Total,
            limit,
            set_by: policy.origin(site, |policy| &policy.total),
            grace: policy.grace.value,
        });
        observe::event(&Event::Started { site, at: started, attempt: 1 });
        Self {
            site,
            plan,
            policy,
            clock,
            started,
            attempt: 0,
            attempts: policy.retry.value.as_ref().map_or(1, |retry| retry.attempts.max(1)),
            parent,
            caller: current::terms(),
            ticket,
            total,
            state: resilience::of(site, policy),
            admission: None,
            permit: None,
            line: None,
            injected: None,
            seat: None,
            pauses: policy.retry.value.as_ref().map(Backoff::new),
            before: None,
            terms: None,
            due: Tick::NEVER,
            alarm: None,
            ending: None,
            ended: None,
            polling: false,
            judged: None,
            settled: false,
        }
    }

    /// Begins the next attempt: its limits count from now.
    pub(super) fn begin_attempt(&mut self) {
        // Without an admission to wait for the first attempt begins with the call.
        let now = if self.attempt == 0 && self.state.is_none() { self.started } else { self.clock.now() };
        self.attempt += 1;
        self.ending = None;
        if self.attempt > 1 {
            observe::event(&Event::Started { site: self.site, at: now, attempt: self.attempt });
        }
        (self.line, self.injected) = (self.line(), self.injected_fault());
        let (terms, limits) = self.terms_from(now);
        let terms = Arc::new(terms);
        if let Some(ticket) = &self.ticket {
            // Who waits for a seat is not silent: the body has not begun.
            let idle = if self.line.is_some() { Duration::MAX } else { limits.idle };
            ticket.record().limit(&Limits { idle, ..limits }, Some(Arc::clone(&terms)), (now > self.started).then_some(now));
            self.due = limits.deadline.min(limits.warn).min(now.after(idle));
            if self.clock == Clock::Wall {
                ticket.expect(self.due);
            }
        }
        self.terms = Some(terms);
    }

    /// The terms of an attempt that begins now, and what the watchdog sees of them.
    fn terms_from(&self, now: Tick) -> (Terms, Limits) {
        let policy = self.policy;
        let own = self.own_deadline(now);
        let inherited = self.inherited().filter(|caller| own.as_ref().is_none_or(|own| caller.at <= own.at));
        // A caller that polls us ends us by dropping us: only where it does not is its deadline ours to watch.
        let carried = inherited.is_some() && self.caller.as_ref().is_some_and(|caller| caller.carried);
        let watched = if carried { inherited.clone() } else { own.clone() };
        let limits = Limits {
            deadline: watched.as_ref().map_or(Tick::NEVER, |deadline| deadline.at),
            inherited: carried,
            within: inherited.is_some() && !carried,
            warn: Tick::from_nanos(now.as_nanos().saturating_add(self.plan.warn)),
            idle: policy.idle.value.unwrap_or(Duration::MAX),
            blocked_after: policy.blocked_after.value,
            only_report: policy.on_timeout.value == OnTimeout::Warn,
            attempt: self.attempt,
        };
        let own_heritable = own.clone().filter(|_| !limits.only_report);
        let terms = Terms {
            policy: Arc::clone(policy),
            attempts: self.attempts,
            heritable: inherited.clone().or(own_heritable).or_else(|| self.inherited()),
            deadline: inherited.or(own),
            watched,
            clock: self.clock,
            cancel: self.cancel(),
            beats: policy.idle.value.is_some() || self.caller.as_ref().is_some_and(|caller| caller.beats),
            // A caller that only reports ends nothing: what is carried into it is so for those inside.
            carried: limits.only_report && self.caller.as_ref().is_some_and(|caller| caller.carried),
        };
        (terms, limits)
    }

    /// The flags that the watchdog has raised.
    pub(super) fn flags(&self) -> u32 {
        self.ticket.as_ref().map_or(0, |ticket| ticket.record().flags())
    }

    /// The call is over: counts it once.
    pub(super) fn settle(&mut self, outcome: Outcome) {
        if self.settled {
            return;
        }
        self.settled = true;
        let now = self.ended.unwrap_or_else(|| self.clock.now());
        if outcome == Outcome::Ok && self.caller.as_ref().is_some_and(|caller| caller.beats) {
            idle::beat_up(self.parent);
        }
        observe::event(&Event::Finished { site: self.site, at: now, outcome, elapsed: now.since(self.started), attempt: self.attempt });
    }
}

impl Drop for Call {
    /// Who drops a call before it is over cancels it; or its body has panicked, or what makes its error has.
    fn drop(&mut self) {
        let left = if self.polling { Outcome::Panicked } else { Outcome::Cancelled };
        self.settle(self.judged.unwrap_or(left));
    }
}
