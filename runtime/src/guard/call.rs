//! One guarded call while it runs: its record, its attempts, and that it is counted once. `limits` says what limits an attempt, `poll` runs
//! it, `verdict` judges how it ended.

use std::sync::Arc;
use std::time::Duration;

use super::admission::{Admission, Prelude};
use super::context::{self, Context};
use super::idle;
use crate::clock::{Clock, Tick};
use crate::event::Event;
use crate::flight::{self, Deadline, Entry, Limits, Terms, Ticket};
use crate::observe;
use crate::outcome::{Outcome, TimeoutKind};
use crate::policy::{self, OnTimeout, Policy};
use crate::resilience::breaker::Permit;
use crate::resilience::concurrency::Seat;
use crate::resilience::retry::Backoff;
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
    pub(super) caller: Option<Arc<Context>>,
    /// `None` where the table was full: the call runs unwatched, and that is counted.
    pub(super) ticket: Option<Ticket>,
    pub(super) total: Option<Deadline>,
    /// What breaker, rate limit and bulkhead remember of the function; `None` where it has none.
    pub(super) state: Option<&'static State>,
    pub(super) admission: Option<Admission>,
    pub(super) permit: Option<Permit<'static>>,
    pub(super) prelude: Option<Prelude>,
    pub(super) seat: Option<Seat>,
    pub(super) pauses: Option<Backoff>,
    /// What the body sees.
    pub(super) context: Option<Arc<Context>>,
    /// Whether the record shows the terms of this attempt: it does from the first time that the body waits.
    pub(super) shown: bool,
    /// Nothing can be due before, unless a flag is up.
    pub(super) due: Tick,
    /// The alarm of a grace; under tokio's paused clock also what the watchdog does otherwise.
    pub(super) alarm: Option<Box<Alarm>>,
    /// The attempt must end, since its limit passed; with the end of its grace.
    pub(super) ending: Option<(Expiry, Tick)>,
    /// When the last attempt ended.
    pub(super) ended: Option<Tick>,
    pub(super) polling: bool,
    settled: bool,
}

impl Call {
    /// Enters a call of `site`; `None` where the policy switches its guard off.
    pub(super) fn begin(site: &'static Site) -> Option<Self> {
        let policy = policy::of(site);
        if !policy.enabled.value {
            return None;
        }
        flight::runtime::meet();
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
            shown: false,
            due: Tick::NEVER,
            alarm: None,
            ending: None,
            ended: None,
            polling: false,
            settled: false,
        })
    }

    /// Begins the next attempt: its limits count from now.
    pub(super) fn begin_attempt(&mut self) {
        // Without an admission to wait for the first attempt begins with the call.
        let now = if self.attempt == 0 && self.state.is_none() { self.started } else { self.clock.now() };
        self.attempt += 1;
        (self.ending, self.shown) = (None, false);
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
            if self.attempt > 1 {
                record.lower_all();
                record.restart_silence(now);
            }
            record.limit(&limits);
            self.due = limits.deadline.min(limits.warn).min(now.after(limits.idle));
            if self.clock == Clock::Wall {
                watchdog::expect(self.due);
            }
        }
        let call = self.ticket.as_ref().map(Ticket::id);
        self.context = Some(Arc::new(Context { terms, heritable, clock: self.clock, call, cancel, carried: false }));
        self.prelude = self.prelude();
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
        if outcome == Outcome::Panicked
            && let Some(ticket) = &self.ticket
        {
            watchdog::panicked(ticket.id(), ticket.record(), now);
        }
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
