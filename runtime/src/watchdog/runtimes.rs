//! Is tokio itself alive? Runtimes of which no worker makes progress: one episode each, reported when it begins, brought up to date whenever
//! it has lasted twice as long, and ended.
//!
//! `pulse` judges, `probe` is the task that is spawned to see whether any worker takes it; this file remembers.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, Id};

use super::pulse::{self, Finding, Pulse, Vitals};
use super::stack;
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::runtime::{self, KNOWN, Runtime};
use crate::host::{self, Suspect};
use crate::incident::{self, IncidentId, IncidentKind, Occasion, Sighting, stand_in};
use crate::observe;
use crate::policy;

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

/// The runtimes that are watched, each at its place.
pub(super) struct Runtimes([Option<(Id, Watched)>; KNOWN]);

struct Watched {
    pulse: Pulse,
    quiet_since: Tick,
    /// When the probe on its way was asked for.
    probe: Option<Tick>,
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
    pub(super) const fn new() -> Self {
        Self([const { None }; KNOWN])
    }

    /// Looks at every runtime; whether all of them are alive, as far as that can be seen.
    pub(super) fn look(&mut self, now: Tick) -> bool {
        let mut seen = [false; KNOWN];
        for runtime in runtime::known() {
            let (place, id) = (runtime.place(), runtime.id());
            // Of two threads of one runtime that came at the same time, the first place stays.
            if !self.0[..place].iter().flatten().any(|(other, _)| *other == id) {
                seen[place] = true;
                self.at(place, &runtime, now).look(runtime, now);
            }
        }
        for (place, _) in self.0.iter_mut().zip(seen).filter(|(_, seen)| !seen) {
            place.take().into_iter().for_each(|(_, mut gone)| gone.end(now));
        }
        self.watched().all(|watched| watched.quiet_since == now && watched.probe.is_none())
    }

    fn at(&mut self, place: usize, runtime: &Runtime, now: Tick) -> &mut Watched {
        if let Some((_, mut gone)) = self.0[place].take_if(|(id, _)| *id != runtime.id()) {
            gone.end(now);
        }
        &mut self.0[place].get_or_insert_with(|| (runtime.id(), Watched::new(runtime, now))).1
    }

    fn watched(&mut self) -> impl Iterator<Item = &mut Watched> {
        self.0.iter_mut().flatten().map(|(_, watched)| watched)
    }

    /// Nothing could move for a while, because the process did not run: silence counts from now on.
    pub(super) fn forgive(&mut self, now: Tick) {
        for watched in self.watched().filter(|watched| watched.stall.is_none()) {
            watched.quiet_since = now;
            watched.probe = watched.probe.map(|_| now);
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

    fn look(&mut self, runtime: Arc<Runtime>, now: Tick) {
        let pulse = Pulse::read(runtime.metrics());
        if pulse.beats(&self.pulse) {
            self.alive(now);
        }
        self.pulse = pulse;
        let probe = self.probe.and_then(|asked| Some((runtime.probe().fate()?, asked)));
        let vitals = Vitals { quiet_since: self.quiet_since, probe, last_probe: self.last_probe };
        match pulse::judge(&vitals, policy::runtime_stalled_after(), now) {
            Finding::Fine => {}
            Finding::Probe => {
                runtime.probe().ask();
                (self.probe, self.last_probe) = (Some(now), now);
                incident::errand(|runtime| runtime.send_probe(), runtime);
            }
            Finding::Alive => {
                runtime.probe().forget();
                self.probe = None;
                self.alive(now);
            }
            Finding::Gone => {
                runtime.forget();
                // Letting go of it may run code of the application, such as a hook's destructor.
                incident::errand(drop, runtime);
            }
            Finding::Stalled => self.stalled(&runtime, now),
        }
    }

    fn alive(&mut self, now: Tick) {
        self.end(now);
        self.quiet_since = now;
    }

    fn stalled(&mut self, runtime: &Arc<Runtime>, now: Tick) {
        let quiet = now.since(self.quiet_since);
        if let Some(stall) = &mut self.stall {
            if now.since(stall.opened) >= PATIENCE && policy::aborts_on_runtime_stall() {
                abort(sighting(stall.incident, runtime, quiet, now));
            }
            if quiet >= stall.report_at {
                stall.report_at = quiet * 2;
                incident::sighted(Occasion::Again, sighting(stall.incident, runtime, quiet, now));
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
        runtime.has_polls() || self.pulse.has_begun() && runtime.has_calls()
    }

    fn begin(&mut self, runtime: &Arc<Runtime>, quiet: Duration, now: Tick) {
        if now < self.excused {
            return;
        }
        let seen = sighting(incident::reserve(), runtime, quiet, now);
        if seen.is_excused() {
            self.excused = now.after(EXCUSED);
            return incident::sighted(Occasion::HeldBack, seen);
        }
        let (incident, name) = (seen.id, runtime.name());
        observe::event(&Event::RuntimeStalled { runtime: name, stalled: true, elapsed: quiet });
        incident::sighted(Occasion::First, seen);
        self.stall = Some(Stall { incident, opened: now, name, report_at: quiet * 2 });
    }

    fn end(&mut self, now: Tick) {
        if let Some(Stall { incident, name, .. }) = self.stall.take() {
            incident::end(incident);
            observe::event(&Event::RuntimeStalled { runtime: name, stalled: false, elapsed: now.since(self.quiet_since) });
        }
    }
}

/// Ends the process: the reporter should have done so, and is stuck itself.
fn abort(seen: Sighting) -> ! {
    let done = stand_in::done();
    stand_in::stand_in(seen);
    let end = Tick::now().after(LAST);
    while stand_in::done() == done && Tick::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    std::process::abort()
}

/// Threads of which each could have gone on with it.
const THREADS: usize = 256;

fn sighting(id: IncidentId, runtime: &Arc<Runtime>, quiet: Duration, now: Tick) -> Sighting {
    let (mut threads, mut count) = ([0; THREADS], 0);
    for (place, thread) in threads.iter_mut().zip(runtime.threads()) {
        (*place, count) = (thread, count + 1);
    }
    let limit = Some(policy::runtime_stalled_after());
    let suspect = Suspect { since: now.before(quiet), until: now, limit, threads: &threads[..count] };
    Sighting {
        id,
        runtime: Some(Arc::clone(runtime)),
        awaited: stack::of_all(),
        weighed: Some(host::weigh(&suspect)),
        ..Sighting::process(in_words, IncidentKind::RuntimeStalled, now, quiet)
    }
}

fn in_words(seen: &Sighting) -> incident::Finding {
    let policy = policy::watchdog();
    let id = seen.runtime.as_ref().map(|runtime| runtime.id());
    let stalled = seen.runtime.as_ref().map(|runtime| runtime.stalled(seen.elapsed, seen.at));
    let others = runtime::known().filter(|other| Some(other.id()) != id).map(|other| other.state());
    incident::Finding {
        limit: Some((policy.runtime_stalled_after.value, policy.runtime_stalled_after.origin.clone())),
        runtimes: stalled.into_iter().chain(others).collect(),
        // Where nobody was free to be asked then.
        threads: seen.awaited.is_none().then(stack::of_all).flatten(),
        ..incident::Finding::process(seen.kind, seen.at, seen.elapsed)
    }
}
