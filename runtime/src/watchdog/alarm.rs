//! A sleep that needs no tokio timer: the watchdog wakes it.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::clock::{Clock, Tick};
use crate::flight::{FIRED, Ticket};

/// Sleeps until `deadline` by `clock`, under any executor.
pub(crate) fn sleep_until(clock: Clock, deadline: Tick) -> Alarm {
    Alarm { clock, deadline, rings: None }
}

/// The future of [`sleep_until`].
pub(crate) struct Alarm {
    clock: Clock,
    deadline: Tick,
    rings: Option<Rings>,
}

enum Rings {
    /// The watchdog raises a flag.
    Watchdog(Ticket),
    /// tokio's paused clock reaches the deadline.
    Tokio(Pin<Box<tokio::time::Sleep>>),
}

impl Alarm {
    fn arm(&self) -> Option<Rings> {
        if self.clock == Clock::Paused {
            return Some(Rings::Tokio(Box::pin(tokio::time::sleep_until(self.deadline.instant().into()))));
        }
        super::start();
        Ticket::alarm(self.deadline).map(Rings::Watchdog)
    }

    /// Changes when it rings.
    pub(crate) fn reset(&mut self, deadline: Tick) {
        if self.deadline != deadline {
            self.deadline = deadline;
            self.rings = None;
        }
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.deadline {
            return Poll::Ready(());
        }
        if self.deadline == Tick::NEVER {
            return Poll::Pending;
        }
        if self.rings.is_none() {
            self.rings = self.arm();
        }
        match &mut self.rings {
            Some(Rings::Tokio(sleep)) => sleep.as_mut().poll(cx),
            Some(Rings::Watchdog(ticket)) => {
                ticket.record().wait(cx.waker());
                if ticket.record().flags() & FIRED != 0 { Poll::Ready(()) } else { Poll::Pending }
            }
            // The table is full: poll again at once rather than sleep for ever.
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
