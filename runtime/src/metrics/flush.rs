//! Moves the totals to the `metrics` facade.
//!
//! Counters are set to their totals and every series is registered anew each time, so that a recorder that is installed late
//! sees everything. Durations are handed over as the mean of each bucket, as often as calls fell into it since the last flush:
//! count, bucket membership and (up to rounding) the sum are those of the calls.

use std::sync::{Mutex, PoisonError};

use metrics::{Key, Label, Level, Metadata, Recorder, with_recorder};

use super::buckets;
use super::groups::{Group, groups};
use super::names;
use super::process;
use super::tally::{self, Durations, Tally};
use crate::clock::Tick;
use crate::incident::{IncidentKind, SEVERITIES};
use crate::outcome::Outcome;
use crate::policy::Severity;
use crate::site::{Kind, Site};

/// So many durations at most are handed over before the exporter is asked to fold them into its buckets.
const BATCH: u64 = 65_536;

static METADATA: Metadata<'static> = Metadata::new("backstop", Level::INFO, None);

/// Hands everything that was counted to the installed recorder. Called once a second by the reporter, and by each scrape.
pub(crate) fn flush() {
    static FLUSHED: Mutex<Flushed> = Mutex::new(Flushed { groups: Vec::new() });
    // A panic inside a recorder leaves numbers behind that are still the truth about what was handed over.
    FLUSHED.lock().unwrap_or_else(PoisonError::into_inner).flush(groups());
}

/// What recorders were given so far.
#[derive(Default)]
pub(super) struct Flushed {
    groups: Vec<[Durations; buckets::COUNT]>,
}

impl Flushed {
    pub(super) fn flush(&mut self, groups: &[Group]) {
        self.groups.resize(groups.len(), [Durations::default(); buckets::COUNT]);
        with_recorder(|recorder| {
            if discards(recorder) {
                return;
            }
            names::describe(recorder);
            let facade = Facade { recorder };
            for (group, sent) in groups.iter().zip(&mut self.groups) {
                facade.group(group);
                facade.durations(group, sent);
            }
            facade.process();
        });
    }
}

struct Facade<'a> {
    recorder: &'a dyn Recorder,
}

impl Facade<'_> {
    fn group(&self, group: &Group) {
        for outcome in Outcome::ALL {
            let calls = total(&group.callable, |tally| tally.outcome(outcome));
            self.counter(names::CALLS, group, &[("outcome", outcome.as_str())], calls);
        }
        self.gauge(names::IN_FLIGHT, group, total(&group.callable, Tally::in_flight));
        self.incidents(group);
        if group.has(Kind::TimeoutAsync) {
            self.guarded(group);
        }
        if group.has(Kind::SafeMpsOp) {
            self.device(group);
        }
    }

    fn guarded(&self, group: &Group) {
        self.counter(names::RETRIES, group, &[], total(&group.sites, |tally| load(&tally.retries)));
        self.counter(names::BLOCKED_POLLS, group, &[], total(&group.sites, |tally| load(&tally.blocked_polls)));
        self.gauge(names::BREAKER_STATE, group, highest(&group.sites, |tally| load(&tally.breaker)));
        self.gauge(names::ORPHANS, group, total(&group.sites, Tally::orphans));
    }

    fn device(&self, group: &Group) {
        self.gauge(names::DEVICE_ROUTE, group, highest(&group.sites, |tally| load(&tally.route)));
        for (d, device) in names::DEVICES.iter().enumerate() {
            for (c, class) in names::DEVICE_CLASSES.iter().enumerate() {
                let count = total(&group.sites, |tally| tally.device_fallbacks(d, c));
                // At 0 from the start, but for devices that hardly any program has.
                if *device != "other" || count > 0 {
                    self.counter(names::DEVICE_FALLBACKS, group, &[("device", device), ("class", class)], count);
                }
            }
        }
    }

    fn incidents(&self, group: &Group) {
        for kind in IncidentKind::ALL {
            if !group.sites.iter().any(|site| kind.concerns(site.kind())) {
                continue;
            }
            for severity in SEVERITIES {
                let count = total(&group.sites, |tally| tally.incidents(kind, severity));
                // At 0 from the start: the severity that the kind has by default, and the one that calls for a person.
                if count > 0 || severity == kind.severity() || severity == Severity::Critical {
                    let labels = [("kind", kind.as_str()), ("severity", severity.as_str())];
                    self.counter(names::INCIDENTS, group, &labels, count);
                }
            }
        }
    }

    fn durations(&self, group: &Group, sent: &mut [Durations; buckets::COUNT]) {
        let key = Key::from_parts(names::DURATION, vec![Label::from_static_parts("function", group.name)]);
        let histogram = self.recorder.register_histogram(&key, &METADATA);
        for (index, sent) in sent.iter_mut().enumerate() {
            let now = sum(&group.callable, index);
            let calls = now.calls.saturating_sub(sent.calls);
            if calls == 0 {
                continue;
            }
            let mean = buckets::clamp(index, now.nanos.saturating_sub(sent.nanos) / calls);
            record(&histogram, buckets::seconds(mean), calls);
            // What was handed over, not what was read: the rest of the division goes with the next flush.
            *sent = Durations { calls: now.calls, nanos: sent.nanos.saturating_add(mean.saturating_mul(calls)) };
        }
    }

    fn process(&self) {
        for (index, what) in names::DROPPED_WHAT.iter().enumerate() {
            let key = Key::from_parts(names::DROPPED, vec![Label::from_static_parts("what", what)]);
            self.recorder.register_counter(&key, &METADATA).absolute(process::dropped(index));
        }
        self.process_incidents();
        for (runtime, stalled) in process::stalled() {
            let key = Key::from_parts(names::RUNTIME_STALLED, vec![Label::from_static_parts("runtime", runtime)]);
            self.recorder.register_gauge(&key, &METADATA).set(f64::from(u8::from(stalled)));
        }
        let refused = Key::from_static_name(names::POLICY_RELOAD_FAILED);
        self.recorder.register_counter(&refused, &METADATA).absolute(process::policies_refused());
        let generation = Key::from_static_name(names::POLICY_GENERATION);
        self.recorder.register_gauge(&generation, &METADATA).set(float(process::policy_generation()));
        let lag = Key::from_static_name(names::WATCHDOG_LAG);
        self.recorder.register_gauge(&lag, &METADATA).set(process::watchdog_lag(Tick::now()).as_secs_f64());
    }

    /// Without a function, the label is empty, which Prometheus reads as absent.
    fn process_incidents(&self) {
        for kind in IncidentKind::ALL {
            let of_the_process = !kind.concerns(Kind::TimeoutAsync) && !kind.concerns(Kind::SafeMpsOp);
            for severity in SEVERITIES {
                let count = process::incidents(kind, severity);
                if count > 0 || (of_the_process && severity == kind.severity()) {
                    let labels = [("function", ""), ("kind", kind.as_str()), ("severity", severity.as_str())];
                    let key = Key::from_parts(names::INCIDENTS, &labels);
                    self.recorder.register_counter(&key, &METADATA).absolute(count);
                }
            }
        }
    }

    fn counter(&self, name: &'static str, group: &Group, labels: &[(&'static str, &'static str)], value: u64) {
        self.recorder.register_counter(&key(name, group, labels), &METADATA).absolute(value);
    }

    fn gauge(&self, name: &'static str, group: &Group, value: u64) {
        self.recorder.register_gauge(&key(name, group, &[]), &METADATA).set(float(value));
    }
}

fn key(name: &'static str, group: &Group, labels: &[(&'static str, &'static str)]) -> Key {
    let mut all = vec![Label::from_static_parts("function", group.name)];
    all.extend(labels.iter().map(|(key, value)| Label::from_static_parts(key, value)));
    Key::from_parts(name, all)
}

/// Whether nothing is installed yet: the facade's own recorder has no state. Everything waits then; above all durations, because a
/// histogram, unlike a counter, cannot be set to its total later.
fn discards(recorder: &dyn Recorder) -> bool {
    size_of_val(recorder) == 0
}

fn record(histogram: &metrics::Histogram, seconds: f64, mut calls: u64) {
    while calls > 0 {
        let batch = calls.min(BATCH);
        histogram.record_many(seconds, usize::try_from(batch).unwrap_or(usize::MAX));
        calls -= batch;
        if calls > 0 {
            fold();
        }
    }
}

#[cfg(feature = "prometheus")]
fn fold() {
    super::exporter::fold();
}

#[cfg(not(feature = "prometheus"))]
fn fold() {}

fn sum(sites: &[&'static Site], bucket: usize) -> Durations {
    tallies(sites).map(|tally| tally.durations(bucket)).fold(Durations::default(), |sum, one| Durations {
        calls: sum.calls.saturating_add(one.calls),
        nanos: sum.nanos.saturating_add(one.nanos),
    })
}

pub(super) fn total(sites: &[&'static Site], count: impl Fn(&Tally) -> u64) -> u64 {
    tallies(sites).map(count).fold(0, u64::saturating_add)
}

fn highest(sites: &[&'static Site], state: impl Fn(&Tally) -> u64) -> u64 {
    tallies(sites).map(state).max().unwrap_or(0)
}

pub(super) fn tallies(sites: &[&'static Site]) -> impl Iterator<Item = &'static Tally> {
    sites.iter().filter_map(|site| tally::of(site))
}

pub(super) fn load(count: &std::sync::atomic::AtomicU64) -> u64 {
    count.load(std::sync::atomic::Ordering::Relaxed)
}

#[allow(clippy::cast_precision_loss, reason = "gauges are floats; exact up to 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}
