//! Polls an attempt: its body runs until it returns, or until its limit has passed and its grace is over.

use std::pin::Pin;
use std::task::{self, Poll};

use super::admission::Refusal;
use super::call::Call;
use super::current;
use super::returned::Returns;
use super::{seats, waiting};
use crate::clock::{Clock, Tick};
use crate::flight::OVER;
use crate::watchdog::{self, Expiry};

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
    /// Polls a call that is made once: it waits to be let in, then its body runs.
    pub(super) fn poll<F: Future, S: Returns<F::Output>>(
        &mut self,
        returns: S,
        body: Pin<&mut F>,
        cx: &mut task::Context<'_>,
    ) -> Poll<F::Output> {
        if self.attempt == 0 {
            if let Err(refused) = task::ready!(self.poll_admission(cx)) {
                let (returned, outcome) = self.refuse(returns, refused);
                self.settle(outcome);
                return Poll::Ready(returned);
            }
            self.begin_attempt();
        }
        let end = task::ready!(self.poll_attempt(body, cx));
        let (returned, outcome) = self.conclude(returns, end);
        self.settle(outcome);
        Poll::Ready(returned)
    }

    /// Polls the attempt's body: it ends by returning, or is given up when its limit has passed and its grace is over.
    pub(super) fn poll_attempt<F: Future>(&mut self, body: Pin<&mut F>, cx: &mut task::Context<'_>) -> Poll<End<F::Output>> {
        let expired = self.expired(cx);
        // What the body has to say at its deadline is heard: its error is the source of the timeout. It begins nothing any more.
        if let Some(expiry) = expired.filter(|_| self.line.is_some() || self.injected.is_some()) {
            return Poll::Ready(End::Expired(expiry));
        }
        let polled = self.poll_inside(body, cx);
        if polled.is_pending() {
            if let Some(expiry) = expired {
                return Poll::Ready(End::Expired(expiry));
            }
            self.wait(cx);
            // The body may have ended a hold: what is due next may be due earlier than before.
            self.follow_paused_clock(cx);
        }
        polled
    }

    /// Polls what runs inside the limit, with this call as the current one.
    fn poll_inside<F: Future>(&mut self, body: Pin<&mut F>, cx: &mut task::Context<'_>) -> Poll<End<F::Output>> {
        // Taken out for the poll, so that it can be shown while the call runs.
        let (ticket, waited) = (self.ticket.take(), self.line.is_some());
        // Stays up when the body panics: that is how `drop` knows.
        self.polling = true;
        let polled = match &ticket {
            Some(ticket) => current::inside(ticket.record(), waiting::now(), || self.poll_body(body, cx)),
            None => self.poll_body(body, cx),
        };
        self.polling = false;
        self.ticket = ticket;
        if waited && self.line.is_none() {
            self.begin_silence();
        }
        polled
    }

    /// Polls the bulkhead and the injected fault, then the body.
    fn poll_body<F: Future>(&mut self, body: Pin<&mut F>, cx: &mut task::Context<'_>) -> Poll<End<F::Output>> {
        if let Some(line) = &mut self.line {
            self.seat = task::ready!(line.as_mut().poll(cx));
            self.line = None;
        }
        if let Some(fault) = &mut self.injected {
            if let Err(refusal) = task::ready!(fault.as_mut().poll(cx)) {
                return Poll::Ready(End::Refused(refusal));
            }
            self.injected = None;
        }
        let _lent = seats::lend(self.seat.as_ref());
        body.poll(cx).map(End::Returned)
    }

    /// The body has begun: from now on its silence counts.
    fn begin_silence(&mut self) {
        let (Some(idle), Some(ticket)) = (self.policy.idle.value, &self.ticket) else { return };
        let now = self.clock.now();
        ticket.record().watch_silence(idle, now);
        self.due = self.due.min(now.after(idle));
        if self.clock == Clock::Wall {
            ticket.expect(self.due);
        }
    }

    /// The body waits: whoever ends the attempt must be able to wake it.
    fn wait(&mut self, cx: &task::Context<'_>) {
        let Some(ticket) = &self.ticket else { return };
        let record = ticket.record();
        record.wait(cx.waker());
        // A flag that was raised before that has woken nobody.
        if self.ending.is_none() && record.flags() & OVER != 0 {
            cx.waker().wake_by_ref();
        }
    }

    /// Why the attempt must end now; asks the body to stop when its grace begins.
    fn expired(&mut self, cx: &mut task::Context<'_>) -> Option<Expiry> {
        self.follow_paused_clock(cx);
        if self.ending.is_none()
            && let Some(expiry) = watchdog::expiry(self.flags())
            && !self.acquit(expiry)
        {
            self.request_stop(expiry);
        }
        if let (Some(_), Some(grace)) = (self.ending, &mut self.alarm) {
            let _ = Pin::new(&mut **grace).poll(cx);
        }
        let (expiry, grace_ends) = self.ending?;
        (self.clock.now() >= grace_ends).then_some(expiry)
    }

    /// Takes down a flag that the watchdog has raised for the attempt before, while this one began; whether it was one.
    pub(super) fn acquit(&self, expiry: Expiry) -> bool {
        let (Some(ticket), Some(terms), true) = (&self.ticket, &self.terms, self.attempt > 1) else { return false };
        let due = ticket.record().view().map_or(Tick::default(), |view| match expiry {
            Expiry::Limit => view.deadline,
            Expiry::Idle => view.silent_at(),
        });
        let early = self.clock.now() < due;
        if early {
            ticket.record().acquit(terms);
            ticket.expect(self.due);
        }
        early
    }

    /// The limit has passed: the grace begins.
    fn request_stop(&mut self, expiry: Expiry) {
        let now = self.clock.now();
        let own = self.policy.grace.value;
        // A deadline that was carried here comes with the grace of the call that it is of.
        let watched = self.terms.as_ref().and_then(|terms| terms.watched.as_ref()).filter(|_| expiry == Expiry::Limit);
        let grace = watched.map_or(own, |watched| watched.grace.max(own));
        let grace_ends = now.after(grace);
        self.ending = Some((expiry, grace_ends));
        self.alarm = (grace_ends > now).then(|| Box::new(watchdog::sleep_until(self.clock, grace_ends)));
        // Without a grace it is the caller's, whose limit has not passed.
        let cancel = self.terms.as_ref().and_then(|terms| terms.cancel.as_ref()).filter(|_| !grace.is_zero());
        cancel.into_iter().for_each(|cancel| cancel.request());
    }

    /// Does for a call by tokio's paused clock what the watchdog does for all others.
    fn follow_paused_clock(&mut self, cx: &mut task::Context<'_>) {
        let paused = self.clock == Clock::Paused && self.ending.is_none();
        let Some(ticket) = self.ticket.as_ref().filter(|_| paused) else { return };
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
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use crate::flight::{FIRED, OVER, SILENT};
    use crate::guard::first;
    use crate::site::Site;

    static SITE: Site = Site::timeout_async("poll::again");

    #[test]
    fn what_the_watchdog_did_about_the_attempt_before_does_not_end_this_one() {
        let mut call = first::begin_layered(&SITE).unwrap();
        let (mut body, mut cx) = (pin!(pending::<()>()), Context::from_waker(Waker::noop()));
        call.begin_attempt();
        assert!(call.poll_attempt(body.as_mut(), &mut cx).is_pending());
        call.begin_attempt();
        let record = call.ticket.as_ref().unwrap().record();
        let due = record.due();
        for flag in [FIRED, SILENT] {
            record.set_incident(&record.view().unwrap(), 7);
            assert!(!record.ring(record.id().generation, flag, || ()));
            assert!(call.poll_attempt(body.as_mut(), &mut cx).is_pending());
            assert_eq!((call.flags() & OVER, record.due()), (0, due));
            // Nor where it is only seen when the body has returned.
            assert!(!record.ring(record.id().generation, flag, || ()));
            assert_eq!((call.overdue(call.clock.now(), true), call.flags() & OVER), (None, 0));
        }
    }
}
