//! What is remembered of the last minutes: when the process did not run, and how its threads spent their time. Pure: figures come in.

use std::collections::VecDeque;
use std::time::Duration;

use super::judge::{NAP, NOISE};
use super::kernel::Uptime;
use super::procfs::Times;
use crate::clock::Tick;

/// Gaps that are remembered.
const GAPS: usize = 64;
/// Looks at one thread that are remembered; at one a second, as many seconds.
const LOOKS: usize = 64;
/// Threads that are remembered.
const THREADS: usize = 256;

/// The memory. It never grows beyond what [`reserve`](Self::reserve) has set aside: the watchdog writes it, who must not need the heap.
#[derive(Debug)]
pub(super) struct Past {
    gaps: VecDeque<Gap>,
    threads: Vec<(i32, Looks)>,
    /// Both clocks at one moment: the one that stands still while the host sleeps, and the one that goes on.
    clocks: Option<(Tick, Duration)>,
}

/// The last looks at one thread.
#[derive(Clone, Copy, Debug)]
struct Looks {
    seen: [(Tick, Times); LOOKS],
    /// How many there ever were.
    count: usize,
}

impl Looks {
    const NONE: Self = Self { seen: [(Tick::from_nanos(0), Times { on_cpu: Duration::ZERO, waited: Duration::ZERO }); LOOKS], count: 0 };

    fn add(&mut self, now: Tick, times: Times) {
        self.seen[self.count % LOOKS] = (now, times);
        self.count += 1;
    }

    /// The newest first.
    fn newest(&self) -> impl Iterator<Item = &(Tick, Times)> {
        (1..=self.count.min(LOOKS)).map(|back| &self.seen[(self.count - back) % LOOKS])
    }
}

/// A stretch that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: Tick,
    pub(super) to: Tick,
    pub(super) cause: Cause,
    /// How long it was, where the clock does not show it.
    pub(super) slept: Duration,
}

/// Why it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing of the process ran.
    Stopped,
    /// The watchdog waited for a CPU.
    Starved,
    /// The watchdog was busy or blocked itself.
    Itself,
    /// The host slept.
    Suspended,
}

/// Why the watchdog was `lag` late, from its own times since it looked last, and how long another thread went on meanwhile.
pub(super) fn cause(lag: Duration, own: Option<Times>, other: Option<Duration>) -> Cause {
    match own {
        Some(own) if own.waited * 2 >= lag => Cause::Starved,
        Some(own) if own.on_cpu * 2 >= lag => Cause::Itself,
        // The rest of the process went on: the watchdog waited for a disk, for memory, or in code of the application that it woke.
        Some(_) if other.is_some_and(|other| other * 2 > lag) => Cause::Itself,
        _ => Cause::Stopped,
    }
}

impl Past {
    pub(super) const fn new() -> Self {
        Self { gaps: VecDeque::new(), threads: Vec::new(), clocks: None }
    }

    /// Sets aside what it may need.
    pub(super) fn reserve(&mut self) {
        self.gaps.reserve_exact(GAPS - self.gaps.len());
        self.threads.reserve_exact(THREADS - self.threads.len());
    }

    /// Remembers that the watchdog should have looked at `from`, and did so at `to`; `None` where it was not late.
    pub(super) fn missed(&mut self, from: Tick, to: Tick, cause: impl FnOnce() -> Cause) -> Option<Gap> {
        (to.since(from) >= NOISE).then(|| self.remember(Gap { from, to, cause: cause(), slept: Duration::ZERO }))
    }

    /// Compares the two clocks; how long the host slept since the last time.
    pub(super) fn compare_clocks(&mut self, reading: Uptime) -> Option<Duration> {
        let Uptime { before, time, after } = reading;
        let (then, earlier) = self.clocks.replace((before, time))?;
        // At least: what passed between a reading of one clock and of the other is no sleep.
        let slept = time.saturating_sub(earlier).saturating_sub(after.since(then));
        (slept >= NAP).then(|| {
            self.remember(Gap { from: then, to: after, cause: Cause::Suspended, slept });
            slept
        })
    }

    fn remember(&mut self, gap: Gap) -> Gap {
        if self.gaps.len() == GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
        gap
    }

    /// How much of the time from `since` to `now` is missing for this cause.
    pub(super) fn missing(&self, cause: Cause, since: Tick, now: Tick) -> Duration {
        let gaps = self.gaps.iter().filter(|gap| gap.cause == cause && gap.to > since && gap.from < now);
        gaps.map(|gap| if cause == Cause::Suspended { gap.slept } else { gap.to.min(now).since(gap.from.max(since)) }).sum()
    }

    /// Remembers a look at a thread.
    pub(super) fn seen(&mut self, tid: i32, now: Tick, times: Times) {
        if self.looks(tid).is_none() && self.threads.len() < THREADS {
            self.threads.push((tid, Looks::NONE));
        }
        if let Some((_, looks)) = self.threads.iter_mut().find(|(known, _)| *known == tid) {
            looks.add(now, times);
        }
    }

    fn looks(&self, tid: i32) -> Option<&Looks> {
        self.threads.iter().find(|(known, _)| *known == tid).map(|(_, looks)| looks)
    }

    /// Forgets the threads that have ended.
    pub(super) fn keep_threads(&mut self, lives: impl Fn(i32) -> bool) {
        self.threads.retain(|(tid, _)| lives(*tid));
    }

    /// How a thread spent the time from `since` on, or from the first look after that: how long ago that was, and its times since then. A
    /// thread that was never looked at is a second old, or little more: that is how it spent its life.
    pub(super) fn spent(&self, tid: i32, since: Tick, now: Tick, times: Times) -> (Duration, Times) {
        let before = self.looks(tid).and_then(|looks| looks.newest().find(|(at, _)| *at <= since).or_else(|| looks.newest().last()));
        match before {
            Some((at, before)) => (now.since(*at), times.since(*before)),
            None => (now.since(since).max(times.on_cpu + times.waited), times),
        }
    }

    /// The last look at a thread.
    pub(super) fn last(&self, tid: i32) -> Option<Times> {
        self.looks(tid)?.newest().next().map(|(_, times)| *times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    fn times(on_cpu: u64, waited: u64) -> Times {
        Times { on_cpu: s(on_cpu), waited: s(waited) }
    }

    #[test]
    fn only_the_part_of_a_gap_that_a_stretch_covers_is_missing_from_it() {
        let mut past = Past::new();
        assert!(past.missed(at(100), at(110), || Cause::Stopped).is_some());
        assert!(past.missed(at(120), Tick::from_nanos(120_400_000_000), || Cause::Stopped).is_none(), "noise");
        assert_eq!(past.missing(Cause::Stopped, at(90), at(200)), s(10));
        assert_eq!(past.missing(Cause::Stopped, at(105), at(200)), s(5));
        assert_eq!(past.missing(Cause::Stopped, at(90), at(102)), s(2));
        assert_eq!(past.missing(Cause::Stopped, at(110), at(200)), Duration::ZERO);
        assert_eq!(past.missing(Cause::Starved, at(90), at(200)), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_goes_on_while_the_other_stands_still_shows_a_sleep() {
        let mut past = Past::new();
        let reading = |before, time, after| Uptime { before: at(before), time: s(time), after: at(after) };
        assert_eq!(past.compare_clocks(reading(100, 5000, 100)), None);
        assert_eq!(past.compare_clocks(reading(101, 5001, 101)), None);
        assert_eq!(past.compare_clocks(reading(102, 5602, 102)), Some(s(600)));
        assert_eq!(past.compare_clocks(reading(103, 5608, 108)), None, "it was late between the two clocks");
        assert_eq!(past.compare_clocks(reading(109, 5609, 109)), None);
        assert_eq!(past.missing(Cause::Suspended, at(100), at(130)), s(600), "longer than the stretch itself");
        assert_eq!(past.missing(Cause::Suspended, at(102), at(130)), Duration::ZERO, "it began afterwards");
    }

    #[test]
    fn a_thread_is_judged_from_the_last_look_before_a_stretch() {
        let mut past = Past::new();
        for second in 0..10 {
            past.seen(7, at(100 + second), times(second, 0));
        }
        assert_eq!(past.spent(7, at(105), at(110), times(12, 1)), (s(5), times(7, 1)));
        assert_eq!(past.spent(7, at(50), at(110), times(12, 1)), (s(10), times(12, 1)), "as far back as is known");
        assert_eq!(past.spent(8, at(109), at(110), times(2, 1)), (s(3), times(2, 1)), "its whole life");
        past.keep_threads(|tid| tid != 7);
        assert_eq!(past.last(7), None);
    }

    #[test]
    fn the_memory_is_bounded_and_set_aside_beforehand() {
        let mut past = Past::new();
        past.reserve();
        let room = |past: &Past| (past.gaps.capacity(), past.threads.capacity());
        let set_aside = room(&past);
        for number in 0..2000 {
            past.missed(at(number * 10), at(number * 10 + 5), || Cause::Starved);
            past.seen(i32::try_from(number).unwrap(), at(number), Times::default());
            past.seen(1, at(number), Times::default());
        }
        assert_eq!((past.gaps.len(), past.threads.len(), past.looks(1).unwrap().newest().count()), (GAPS, THREADS, LOOKS));
        assert_eq!(room(&past), set_aside);
    }

    #[test]
    fn a_late_watchdog_knows_why() {
        let lag = s(4);
        assert_eq!(cause(lag, Some(times(0, 4)), None), Cause::Starved);
        assert_eq!(cause(lag, Some(times(3, 0)), None), Cause::Itself);
        assert_eq!(cause(lag, Some(times(0, 0)), Some(s(3))), Cause::Itself);
        assert_eq!(cause(lag, Some(times(0, 0)), Some(s(1))), Cause::Stopped);
        assert_eq!(cause(lag, None, None), Cause::Stopped);
    }
}
