//! Is tokio itself alive? Runtimes of which no worker makes progress: one episode each, reported when it begins, brought up to date whenever
//! it has lasted twice as long, and ended.
//!
//! `pulse` judges, `probe` is the task that is spawned to see whether any worker takes it; this file remembers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, Id};

use super::probe::Probe;
use super::pulse::{self, Finding, Pulse, Vitals};
use super::stack;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::runtime::{self, Runtime};
use crate::host::{self, Suspect};
use crate::incident::{self, IncidentId, IncidentKind};
use crate::observe;
use crate::policy::{self, OnRuntimeStall};

/// Has the runtime of `handle` watched under this name from now on, also before a guarded call is polled in it.
///
/// Without it, a runtime is watched from the first guarded call that is polled in it, under the name that tokio's builder gave it or under a
/// number. When no worker of it makes progress for the policy's `runtime_stalled_after`, that is an incident of the kind `runtime_stalled`.
/// The runtime may be dropped at any time; that ends the watching. Up to 64 runtimes are watched at one time.
///
/// # Examples
///
/// ```
/// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
/// backstop::watch_runtime("ingest", runtime.handle());
/// ```
pub fn watch_runtime(name: impl Into<String>, handle: &Handle) {
    runtime::watch(handle, name.into());
    super::start();
}

/// How long the report may take then.
const LAST: Duration = Duration::from_secs(5);
/// The reporter ends the process where the policy wants it, when the report is written and told. Where it does not come to that, perhaps
/// because the stalled program holds what it writes to, the watchdog does.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the host excuses now is judged anew after this.
const EXCUSED: Duration = Duration::from_secs(1);

/// The runtimes that are watched.
#[derive(Default)]
pub(super) struct Runtimes(HashMap<Id, Watched>);

struct Watched {
    pulse: Pulse,
    quiet_since: Tick,
    probe: Option<Probe>,
    last_probe: Tick,
    /// When it was last looked whether the calls that wait in it make a stall of its silence.
    asked: Tick,
    /// Until when the host was to blame for its silence.
    excused: Tick,
    stall: Option<Stall>,
}

struct Stall {
    incident: IncidentId,
    opened: Tick,
    name: &'static str,
    report_at: Duration,
}

impl Runtimes {
    /// Looks at every runtime; whether all of them are alive, as far as that can be seen.
    pub(super) fn look(&mut self, now: Tick) -> bool {
        let mut known = Vec::new();
        for runtime in runtime::known() {
            if !known.contains(&runtime.id()) {
                known.push(runtime.id());
                self.0.entry(runtime.id()).or_insert_with(|| Watched::new(&runtime, now)).look(&runtime, now);
            }
        }
        for (_, mut gone) in self.0.extract_if(|id, _| !known.contains(id)) {
            gone.end(now);
        }
        self.0.values().all(|watched| watched.quiet_since == now && watched.probe.is_none())
    }

    /// Nothing could move for a while, because the process did not run: silence counts from now on.
    pub(super) fn forgive(&mut self, now: Tick) {
        for watched in self.0.values_mut().filter(|watched| watched.stall.is_none()) {
            watched.quiet_since = now;
            if let Some(probe) = &mut watched.probe {
                probe.restart(now);
            }
        }
    }
}

impl Watched {
    fn new(runtime: &Runtime, now: Tick) -> Self {
        // At 0 from the start, so that an alert sees the first stall.
        crate::metrics::process::set_stalled(runtime.name(), false);
        Self {
            pulse: Pulse::default(),
            quiet_since: now,
            probe: None,
            last_probe: now,
            asked: Tick::default(),
            excused: Tick::default(),
            stall: None,
        }
    }

    fn look(&mut self, runtime: &Arc<Runtime>, now: Tick) {
        let pulse = Pulse::read(runtime.metrics());
        if pulse.beats(&self.pulse) {
            self.alive(now);
        }
        self.pulse = pulse;
        let probe = self.probe.as_ref().map(|probe| (probe.fate(), probe.sent()));
        let vitals = Vitals { quiet_since: self.quiet_since, probe, last_probe: self.last_probe };
        match pulse::judge(&vitals, policy::watchdog().runtime_stalled_after.value, now) {
            Finding::Fine => {}
            Finding::Probe => {
                self.probe = Some(Probe::send(runtime.handle(), now));
                self.last_probe = now;
            }
            Finding::Alive => {
                self.probe = None;
                self.alive(now);
            }
            Finding::Gone => runtime.forget(),
            Finding::Stalled => self.stalled(runtime, now),
        }
    }

    fn alive(&mut self, now: Tick) {
        self.end(now);
        self.quiet_since = now;
    }

    fn stalled(&mut self, runtime: &Runtime, now: Tick) {
        let quiet = now.since(self.quiet_since);
        if let Some(stall) = &mut self.stall {
            if now.since(stall.opened) >= PATIENCE && policy::watchdog().on_runtime_stall.value == OnRuntimeStall::Abort {
                // The reporter should have ended the process: it is stuck itself.
                let _ = incident::stand_in(stall.incident, finding(runtime, quiet, now)).recv_timeout(LAST);
                std::process::abort();
            }
            if quiet >= stall.report_at {
                stall.report_at = quiet * 2;
                incident::again(stall.incident, finding(runtime, quiet, now));
            }
        } else if self.concerns_somebody(runtime, now) {
            self.begin(runtime, quiet, now);
        }
    }

    /// A runtime with workers of its own always runs. One that somebody must drive may rest: it is stalled only if a guarded call's poll
    /// holds it, or a guarded call waits in it. Asked once a second, since it reads the table of running calls.
    fn concerns_somebody(&mut self, runtime: &Runtime, now: Tick) -> bool {
        if !runtime.is_driven() {
            return true;
        }
        if now.since(self.asked) < Duration::from_secs(1) {
            return false;
        }
        self.asked = now;
        !runtime.polls(now).is_empty() || self.pulse.has_begun() && runtime.has_calls()
    }

    fn begin(&mut self, runtime: &Runtime, quiet: Duration, now: Tick) {
        if now < self.excused {
            return;
        }
        let mut finding = finding(runtime, quiet, now);
        if incident::holds_back(&mut finding) {
            self.excused = now.after(EXCUSED);
            return;
        }
        let (incident, name) = (incident::reserve(), runtime.name());
        observe::event(&Event::RuntimeStalled { runtime: name, stalled: true, elapsed: quiet });
        incident::open(incident, finding);
        self.stall = Some(Stall { incident, opened: now, name, report_at: quiet * 2 });
    }

    fn end(&mut self, now: Tick) {
        if let Some(Stall { incident, name, .. }) = self.stall.take() {
            incident::end(incident);
            observe::event(&Event::RuntimeStalled { runtime: name, stalled: false, elapsed: now.since(self.quiet_since) });
        }
    }
}

fn finding(runtime: &Runtime, quiet: Duration, now: Tick) -> incident::Finding {
    let after = policy::watchdog().runtime_stalled_after.clone();
    let others = runtime::known().filter(|other| other.id() != runtime.id()).map(|other| other.state());
    let stalled = runtime.stalled(quiet, now);
    let threads: Vec<u32> = runtime.threads().collect();
    let suspect = Suspect { since: now.before(quiet), until: now, limit: Some(after.value), threads: &threads };
    incident::Finding {
        limit: Some((after.value, after.origin)),
        runtimes: [stalled].into_iter().chain(others).collect(),
        threads: stack::of_all(),
        verdict: Some(host::judge(&suspect)),
        ..incident::Finding::process(IncidentKind::RuntimeStalled, now, quiet)
    }
}
