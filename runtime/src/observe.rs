//! Hands a fact to everybody who keeps or tells it: the counters, the flight recorder, the log.
//!
//! A start and a successful end cost a few relaxed atomic operations here: no formatting, no lock, no allocation. What is told
//! from the watchdog's thread is logged by the reporter's thread, because the application's log may be blocked by the very thread
//! that is reported.

mod log;
mod repeats;

use std::time::Duration;

pub(crate) use log::Line;

use crate::clock::Tick;
use crate::event::Event;
use crate::incident::recorder::{self, Fact, Record};
use crate::metrics::process;
use crate::metrics::tally::{self, Shard, Tally};
use crate::outcome::Outcome;
use crate::site::{Site, sites};

/// Calls that went well, took less than this and follow each other closer than this are counted, but not recorded one by one: a
/// busy loop would pay for pushing everything else out of the recorder.
const DENSE: Duration = Duration::from_millis(1);

/// Sets aside what counts.
pub(crate) fn start() {
    let _ = sites().first().and_then(|site| tally::of(site));
}

/// Counts, records and logs an event.
pub(crate) fn event(event: &Event<'_>) {
    match *event {
        Event::Started { site, at, attempt } => started(site, at, attempt),
        Event::Finished { site, at, outcome, elapsed, attempt } => finished(site, at, outcome, elapsed, attempt),
        _ => {
            count(event);
            record(event);
            log::log(event);
        }
    }
}

/// A call began that its thread counts for itself.
pub(crate) fn began(site: &'static Site, calls: &Shard, at: Tick) {
    calls.start_alone();
    calls.started_at(at);
    log::started(site, 1);
}

/// It ended.
pub(crate) fn ended(site: &'static Site, calls: &Shard, at: Tick, outcome: Outcome, elapsed: Duration) {
    let before = calls.end_alone(at, outcome, u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    tell(site, at, before, outcome, elapsed, 1);
}

/// Whether somebody listens to every single call.
pub(crate) fn each_is_told() -> bool {
    log::tells_each()
}

fn started(site: &'static Site, at: Tick, attempt: u32) {
    if let Some(tally) = tally::of(site) {
        tally.start(at, attempt);
    }
    log::started(site, attempt);
}

fn finished(site: &'static Site, at: Tick, outcome: Outcome, elapsed: Duration, attempt: u32) {
    let before = tally::of(site).map_or(Tick::default(), |tally| tally.finish(at, outcome, elapsed));
    tell(site, at, before, outcome, elapsed, attempt);
}

fn tell(site: &'static Site, at: Tick, before: Tick, outcome: Outcome, elapsed: Duration, attempt: u32) {
    let record = Record { at, fact: Fact::Finished, site: Some(site), number: outcome as u64, elapsed };
    if outcome != Outcome::Ok || elapsed >= DENSE || at.since(before) >= DENSE {
        recorder::keep(&record);
    }
    log::finished(site, outcome, elapsed, attempt);
}

fn count(event: &Event<'_>) {
    match *event {
        Event::RuntimeStalled { runtime, stalled, .. } => process::set_stalled(runtime, stalled),
        Event::WatchdogLag { lag } => process::set_watchdog_lag(lag),
        Event::PolicyLoaded { generation, .. } => process::set_policy_generation(generation),
        Event::PolicyRefused { .. } => process::policy_refused(),
        Event::Dropped { what } => process::drop_one(what),
        Event::HeldBack { .. } => process::drop_one("finding"),
        Event::LeftOut { .. } => process::drop_one("incident"),
        _ => {
            if let Some(tally) = site(event).and_then(tally::of) {
                count_for(tally, event);
            }
        }
    }
}

fn count_for(tally: &Tally, event: &Event<'_>) {
    use std::sync::atomic::Ordering::Relaxed;
    match *event {
        Event::Retrying { .. } => _ = tally.retries.fetch_add(1, Relaxed),
        Event::BreakerChanged { state, .. } => tally.breaker.store(u64::from(state), Relaxed),
        Event::FellBack { .. } => _ = tally.fallbacks.fetch_add(1, Relaxed),
        Event::Blocked { .. } => _ = tally.blocked_polls.fetch_add(1, Relaxed),
        Event::Orphaned { .. } => tally.orphaned(),
        Event::OrphanEnded { .. } => tally.orphan_ended(),
        Event::DeviceFallback { device, class, .. } => tally.device_fallback(device_type(device), class),
        Event::DeviceRouted { cpu, .. } => tally.route.store(u64::from(cpu), Relaxed),
        _ => {}
    }
}

/// `Mps` or `cuda:0` as a label: the number of series does not grow with the number of devices.
fn device_type(device: &str) -> &'static str {
    let starts = |name: &str| device.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if starts("mps") {
        "mps"
    } else if starts("cuda") {
        "cuda"
    } else {
        "other"
    }
}

fn record(event: &Event<'_>) {
    if let Some((fact, number, elapsed)) = words(event) {
        recorder::keep(&Record { at: Tick::now(), fact, site: site(event), number, elapsed });
    }
}

/// What the flight recorder keeps of an event; nothing where there would be one each tick.
fn words(event: &Event<'_>) -> Option<(Fact, u64, Duration)> {
    let none = Duration::ZERO;
    Some(match *event {
        Event::Started { .. } | Event::Finished { .. } | Event::WatchdogLag { .. } => return None,
        Event::Notice { .. } | Event::Debugger { .. } => return None,
        Event::Slow { elapsed, more, .. } => (Fact::Slow, more, elapsed),
        Event::Retrying { attempt, pause, .. } => (Fact::Retrying, u64::from(attempt), pause),
        Event::Rejected { by, .. } => (Fact::Rejected, by as u64, none),
        Event::Fenced { fenced, .. } => (Fact::Fenced, u64::from(fenced), none),
        Event::BreakerChanged { state, .. } => (Fact::BreakerChanged, u64::from(state), none),
        Event::FellBack { .. } => (Fact::FellBack, 0, none),
        Event::Blocked { elapsed, .. } => (Fact::Blocked, 0, elapsed),
        Event::Unblocked { elapsed, .. } => (Fact::Unblocked, 0, elapsed),
        Event::Orphaned { .. } => (Fact::Orphaned, 0, none),
        Event::OrphanEnded { elapsed, .. } => (Fact::OrphanEnded, 0, elapsed),
        Event::DeviceFallback { .. } => (Fact::DeviceFallback, 0, none),
        Event::DeviceRefused { .. } => (Fact::DeviceRefused, 0, none),
        Event::ResultKept { .. } => (Fact::ResultKept, 0, none),
        Event::DeviceRouted { cpu, .. } => (Fact::DeviceRouted, u64::from(cpu), none),
        Event::RuntimeStalled { stalled, elapsed, .. } => (Fact::RuntimeStalled, u64::from(stalled), elapsed),
        Event::HeldBack { .. } => (Fact::HeldBack, 0, none),
        Event::Slept { time } => (Fact::Slept, 0, time),
        Event::PolicyLoaded { generation, .. } => (Fact::PolicyLoaded, generation, none),
        Event::PolicyRefused { .. } => (Fact::PolicyRefused, 0, none),
        Event::Injected { .. } => (Fact::Injected, 0, none),
        Event::Dropped { .. } => (Fact::Dropped, 0, none),
        Event::LeftOut { more, .. } => (Fact::Dropped, more, none),
    })
}

/// The function that an event is about.
fn site(event: &Event<'_>) -> Option<&'static Site> {
    match *event {
        Event::Started { site, .. }
        | Event::Finished { site, .. }
        | Event::Slow { site, .. }
        | Event::Retrying { site, .. }
        | Event::Rejected { site, .. }
        | Event::Fenced { site, .. }
        | Event::BreakerChanged { site, .. }
        | Event::FellBack { site }
        | Event::Blocked { site, .. }
        | Event::Unblocked { site, .. }
        | Event::Orphaned { site }
        | Event::OrphanEnded { site, .. }
        | Event::DeviceFallback { site, .. }
        | Event::DeviceRefused { site, .. }
        | Event::ResultKept { site, .. }
        | Event::DeviceRouted { site, .. }
        | Event::Injected { site, .. } => Some(site),
        Event::HeldBack { site, .. } => site,
        Event::RuntimeStalled { .. }
        | Event::Slept { .. }
        | Event::Debugger { .. }
        | Event::WatchdogLag { .. }
        | Event::PolicyLoaded { .. }
        | Event::PolicyRefused { .. }
        | Event::Dropped { .. }
        | Event::LeftOut { .. }
        | Event::Notice { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Submitted;

    static SEEN: Site = Site::timeout_async("observe_test::seen").at("o.rs", 1, 1);
    inventory::submit! { Submitted(&SEEN) }

    #[test]
    fn one_event_reaches_the_counters_and_the_recorder() {
        let at = Tick::now();
        event(&Event::Started { site: &SEEN, at, attempt: 1 });
        event(&Event::Retrying { site: &SEEN, attempt: 2, pause: Duration::from_millis(5) });
        event(&Event::Started { site: &SEEN, at, attempt: 2 });
        event(&Event::Finished { site: &SEEN, at, outcome: Outcome::Error, elapsed: Duration::from_millis(9), attempt: 2 });
        let tally = tally::of(&SEEN).unwrap();
        assert_eq!((tally.in_flight(), tally.outcome(Outcome::Error)), (0, 1));
        assert_eq!(tally.retries.load(std::sync::atomic::Ordering::Relaxed), 1);
        let facts: Vec<Fact> = recorder::last(usize::MAX)
            .into_iter()
            .filter(|record| record.site.is_some_and(|site| site.name() == SEEN.name()))
            .map(|record| record.fact)
            .collect();
        assert_eq!(facts, [Fact::Finished, Fact::Retrying], "the end has the tick it was given, from before the retry");
    }

    #[test]
    fn a_busy_loop_does_not_fill_the_recorder() {
        static BUSY: Site = Site::timeout_async("observe_test::busy").at("o.rs", 2, 1);
        inventory::submit! { Submitted(&BUSY) }
        let at = Tick::now();
        for call in 0..1000 {
            let at = at.after(Duration::from_micros(10 * call));
            event(&Event::Started { site: &BUSY, at, attempt: 1 });
            event(&Event::Finished { site: &BUSY, at, outcome: Outcome::Ok, elapsed: Duration::from_micros(9), attempt: 1 });
        }
        let slow = Event::Finished { site: &BUSY, at, outcome: Outcome::Ok, elapsed: Duration::from_millis(2), attempt: 1 };
        event(&slow);
        let kept = recorder::last(usize::MAX).into_iter().filter(|record| record.site.is_some_and(|site| site.name() == BUSY.name()));
        assert_eq!(kept.map(|record| record.elapsed.as_micros()).collect::<Vec<_>>(), [9, 2000]);
        assert_eq!(tally::of(&BUSY).unwrap().outcome(Outcome::Ok), 1001);
    }

    #[test]
    fn devices_are_labelled_by_their_type() {
        assert_eq!(["Mps", "mps:0", "cuda:7", "Cuda(0)", "xpu", ""].map(device_type), ["mps", "mps", "cuda", "cuda", "other", "other"]);
    }
}
