//! The first line of a report, and the last resort: written by the watchdog itself where the reporter does not come forward, which may be stuck
//! in the heap's lock, in the log or on a disk. Takes no lock of others and nothing from the heap.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{IncidentId, IncidentKind, Sighting};
use crate::clock::Tick;
use crate::metrics::process;
use crate::text::{Name, Text};

/// Findings of which a line can be said; of further ones only their number.
const LINES: usize = 64;

/// The last finding that the reporter is through with: it takes them in their order.
static HEARD: AtomicU64 = AtomicU64::new(0);
/// Locked by the watchdog's thread alone.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting { lines: VecDeque::new(), last: 0, more: 0 });

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the reporter was handed and is not through with.
struct Waiting {
    lines: VecDeque<Line>,
    last: u64,
    /// Those that found no room here, or not even with the reporter.
    more: u64,
}

struct Line {
    order: u64,
    said: bool,
    id: IncidentId,
    kind: IncidentKind,
    subject: &'static str,
    thread: Name,
    elapsed: Duration,
    at: Tick,
}

/// Sets everything aside.
pub(super) fn start() {
    waiting().lines.reserve_exact(LINES);
}

/// A finding is about to be handed over; its place among all of them.
pub(super) fn expect(sighting: &Sighting) -> u64 {
    let mut waiting = waiting();
    waiting.forget(HEARD.load(Acquire));
    waiting.last += 1;
    let Sighting { id, kind, name: thread, elapsed, at, .. } = *sighting;
    if waiting.lines.len() < LINES {
        let line = Line { order: waiting.last, said: false, id, kind, subject: sighting.subject(), thread, elapsed, at };
        waiting.lines.push_back(line);
    } else {
        waiting.more += 1;
    }
    waiting.last
}

/// The reporter is through with the finding of this place, and those before.
pub(super) fn heard(order: u64) {
    HEARD.fetch_max(order, Release);
}

/// A finding could not even be handed over.
pub(super) fn left_out() {
    waiting().more += 1;
}

/// The reporter has not come forward for `silence`: says what it was handed, once.
pub(crate) fn say(silence: Duration, now: Tick) {
    let mut waiting = waiting();
    waiting.forget(HEARD.load(Acquire));
    for line in waiting.lines.iter_mut().filter(|line| !line.said) {
        if !write(line.text(silence, now).as_bytes()) {
            return;
        }
        line.said = true;
        process::drop_one("late_report");
    }
    let more = std::mem::take(&mut waiting.more);
    if more > 0 {
        write(Text::<120>::of(format_args!("backstop: {more} more findings wait for a report or were dropped\n")).as_bytes());
    }
}

impl Waiting {
    /// Forgets what the reporter is through with.
    fn forget(&mut self, heard: u64) {
        while self.lines.front().is_some_and(|line| line.order <= heard) {
            self.lines.pop_front();
        }
        if heard == self.last {
            self.more = 0;
        }
    }
}

impl Line {
    fn text(&self, silence: Duration, now: Tick) -> Text<512> {
        let Self { id, kind, subject, thread, elapsed, at, .. } = self;
        let subject = Text::<200>::from_bytes(subject.as_bytes());
        let (on, thread) = if thread.as_str().is_empty() { ("", "") } else { (" on the thread ", thread.as_str()) };
        let lasts = (*elapsed + now.since(*at)).as_secs_f64();
        Text::of(format_args!(
            "backstop: {id} {}: `{}`{on}{thread}, {lasts:.1} s by now; no report yet: the reporter has not come forward for {:.1} s, perhaps \
             because the heap, the log or a disk is stuck\n",
            kind.as_str(),
            subject.as_str(),
            silence.as_secs_f64(),
        ))
    }
}

/// Writes to standard error, unless that would wait.
#[cfg(unix)]
fn write(line: &[u8]) -> bool {
    let mut ready = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one such structure is there, and it is ours.
    let writable = unsafe { libc::poll(&raw mut ready, 1, 0) } == 1 && ready.revents & libc::POLLOUT != 0;
    // SAFETY: so many bytes stand there. A pipe that is ready takes as many at once.
    writable && unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) } > 0
}

#[cfg(not(unix))]
fn write(_: &[u8]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    fn line(order: u64, subject: &'static str, thread: &str) -> Line {
        let (thread, elapsed) = (Name::from_bytes(thread.as_bytes()), Duration::from_secs(1));
        Line { order, said: false, id: IncidentId(7), kind: IncidentKind::Blocked, subject, thread, elapsed, at: at(100) }
    }

    #[test]
    fn a_line_says_what_where_and_how_long_by_now() {
        let text = |line: Line| line.text(Duration::from_secs(10), at(110));
        let begins = |line: Line, beginning: &str| assert!(text(line).as_str().starts_with(beginning), "{beginning}");
        begins(
            line(1, "api::fetch", "worker (tid 9)"),
            "backstop: #7 blocked: `api::fetch` on the thread worker (tid 9), 11.0 s by now; no report",
        );
        begins(
            line(1, "api::fetch", ""),
            "backstop: #7 blocked: `api::fetch`, 11.0 s by now; no report yet: the reporter has not come forward for 10.0 s",
        );
        let long = text(line(1, Box::leak("x".repeat(1000).into_boxed_str()), &"y".repeat(1000)));
        assert!(long.as_str().ends_with("is stuck\n"), "names are cut, the sentence is not: {}", long.as_str());
    }

    #[test]
    fn what_the_reporter_is_through_with_is_not_waited_for() {
        let mut waiting = Waiting { lines: (1..=3).map(|order| line(order, "api::fetch", "")).collect(), last: 5, more: 2 };
        let left = |waiting: &mut Waiting, heard| {
            waiting.forget(heard);
            (waiting.lines.len(), waiting.more)
        };
        assert_eq!([0, 2, 4, 5].map(|heard| left(&mut waiting, heard)), [(3, 2), (1, 2), (0, 2), (0, 0)]);
    }
}
