//! Code or host? What the host did to this process while something went wrong in it.
//!
//! The watchdog notes when it was late itself, whether the host slept, and once a second how the threads that poll guarded calls have
//! spent their time. The reporter reads what was withheld from the process altogether, and whoever judges reads that anew. From that `judge` says
//! for each finding whether the code is to blame or the host, and which findings are held back.
//!
//! `procfs`, `kernel` and `cgroup` read, `files` keeps open what is read often, `past` and `withheld` remember, `judge` is pure and comes to a `verdict`. What the watchdog does here
//! takes nothing from the heap, which a stuck thread may hold.

mod cgroup;
mod files;
mod judge;
mod kernel;
mod past;
mod procfs;
#[cfg(test)]
pub(crate) mod testing;
mod verdict;
mod withheld;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use files::Files;
pub(crate) use kernel::cpu_time;
pub(crate) use past::Cause;
pub(crate) use procfs::debugger;

use crate::clock::Tick;
use crate::flight::thread;
use crate::metrics::beat;
use judge::Stretch;
use past::Past;
use procfs::Times;
pub(crate) use verdict::Weighed;
pub use verdict::{Blame, Evidence, Verdict};
pub use withheld::Withheld;
use withheld::{Reading, Readings};

/// Threads that are looked at in one second; where there are more, they take turns.
const LOOKS: usize = 64;

/// Something that lasted too long.
#[derive(Clone, Debug)]
pub(crate) struct Suspect<'a> {
    pub(crate) since: Tick,
    /// When it was found.
    pub(crate) until: Tick,
    pub(crate) limit: Option<Duration>,
    /// The numbers of the threads of which each could have gone on with it.
    pub(crate) threads: &'a [u32],
}

/// Locked by the watchdog's and the reporter's thread, for moments, never by the application.
static PAST: Mutex<Past> = Mutex::new(Past::new());

fn past() -> MutexGuard<'static, Past> {
    PAST.lock().unwrap_or_else(PoisonError::into_inner)
}

static READINGS: Mutex<Readings> = Mutex::new(Readings::new());

fn readings() -> MutexGuard<'static, Readings> {
    READINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads what was withheld, unless that was done just now; for the watchdog's and the reporter's thread. Takes a few files.
pub(crate) fn read_withheld(now: Tick) {
    if !readings().are_fresh(now) {
        let reading = Reading::take(now);
        readings().keep(reading);
    }
}

/// What was withheld since then, as far as it was read.
pub(crate) fn withheld(since: Tick) -> Withheld {
    readings().withheld(since)
}

/// Judges; for the reporter's thread.
pub(crate) fn judge(suspect: &Suspect<'_>) -> Verdict {
    weigh(suspect).verdict()
}

/// Judges, and leaves the words to whoever has the heap; for the watchdog's thread.
pub(crate) fn weigh(suspect: &Suspect<'_>) -> Weighed {
    let stretch = Stretch { elapsed: suspect.until.since(suspect.since), limit: suspect.limit };
    Weighed { stretch, evidence: gather(suspect) }
}

fn gather(suspect: &Suspect<'_>) -> Evidence {
    let now = Tick::now();
    let (uptime, debugger, pressure) = (kernel::uptime(), procfs::debugger(), procfs::pressure());
    // The watchdog may be about to notice that it is late.
    let overdue = beat::WATCHDOG.due().filter(|due| now.since(*due) >= judge::NOISE);
    let tids = suspect.threads.iter().map(|number| thread::tid(*number)).filter(|tid| *tid != 0);
    let times = tids.filter_map(|tid| Some((tid, procfs::times_of(tid)?)));
    // Of several threads, one that had a CPU would have been enough.
    let spent = times.map(|(tid, times)| past().spent(tid, suspect.since, now, times)).min_by_key(|(_, times)| times.waited);
    let process = cpu_time().map(|on_cpu| Times { on_cpu, waited: Duration::ZERO });
    // The reporter's last reading may be older than what is judged.
    read_withheld(now);
    let withheld = withheld(suspect.since);
    let mut past = past();
    if let Some(uptime) = uptime {
        past.compare_clocks(uptime);
    }
    let missing = |cause| past.missing(cause, suspect.since, suspect.until);
    Evidence {
        window: spent.map_or(Duration::ZERO, |(window, _)| window),
        on_cpu: spent.map(|(_, times)| times.on_cpu),
        waited: spent.map(|(_, times)| times.waited),
        own: process.map(|process| own(past.spent(PROCESS, suspect.since, now, process), withheld.quota)),
        stopped: missing(Cause::Stopped) + overdue.map_or(Duration::ZERO, |due| suspect.until.since(due.max(suspect.since))),
        late: missing(Cause::Starved),
        suspended: missing(Cause::Suspended),
        pressure,
        debugger,
        withheld,
    }
}

/// How often the reporter came round, at [`ROUND`]s; and what of that the watchdog saw when it was last in time.
static ROUNDS: AtomicU64 = AtomicU64::new(0);
static SEEN_ROUNDS: AtomicU64 = AtomicU64::new(0);
/// How often the reporter calls [`came_round`].
pub(crate) const ROUND: Duration = Duration::from_millis(500);

/// The reporter comes round: the process runs.
pub(crate) fn came_round() {
    ROUNDS.fetch_add(1, Relaxed);
}

/// How long the reporter went on since the watchdog was last in time, at the least: a round may begin right after that, and one right now.
fn went_on() -> Duration {
    let rounds = ROUNDS.load(Relaxed).saturating_sub(SEEN_ROUNDS.load(Relaxed));
    ROUND * u32::try_from(rounds.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// The watchdog should have looked at `due`, and looks only now; why, if it is late.
pub(crate) fn missed(files: &mut Files, due: Tick, now: Tick) -> Option<(Duration, Cause)> {
    if now.since(due) < judge::NOISE {
        SEEN_ROUNDS.store(ROUNDS.load(Relaxed), Relaxed);
        return None;
    }
    let own = files.own_times();
    let busy = |tid| Some(files.times_of(tid)?.since(past().last(tid)?).on_cpu);
    let busiest = thread::tids().filter_map(busy).max();
    let mut past = past();
    let own = own.zip(past.last(OWN)).map(|(own, before)| own.since(before));
    let lag = now.since(due);
    let other = busiest.max(Some(went_on()));
    let gap = past.missed(due, now, || past::cause(lag, own, other))?;
    Some((lag, gap.cause))
}

/// The watchdog's own times are remembered like those of a thread with this number.
const OWN: i32 = 0;
/// The times of the whole process are remembered like those of a thread with this number.
const PROCESS: i32 = -1;

/// How much of the CPUs the process had, in percent.
fn own((window, times): (Duration, Times), quota: Option<f64>) -> f64 {
    let cpus = cpus().map_or(1.0, |cpus| f64::from(u32::try_from(cpus).unwrap_or(u32::MAX)));
    let cpus = quota.map_or(cpus, |quota| quota.min(cpus));
    100.0 * times.on_cpu.as_secs_f64() / (window.as_secs_f64() * cpus).max(f64::EPSILON)
}

/// See [`cpus`]; 0 before the first reading.
static CPUS: AtomicUsize = AtomicUsize::new(0);

/// The CPUs that this process may use, as they were read last.
pub(crate) fn cpus() -> Option<usize> {
    Some(CPUS.load(Relaxed)).filter(|cpus| *cpus > 0).or_else(read_cpus)
}

/// Reads them anew. Takes several files and the heap: for the reporter's thread, and for a start.
pub(crate) fn read_cpus() -> Option<usize> {
    let cpus = std::thread::available_parallelism().ok()?.get();
    CPUS.store(cpus, Relaxed);
    Some(cpus)
}

/// Sets aside what the watchdog's looks take.
pub(crate) fn start() {
    past().reserve();
    readings().reserve();
    read_cpus();
    kernel::wake_on_time();
}

/// Looks at the host and at the threads that poll guarded calls, once a second; how long the host slept.
pub(crate) fn look(files: &mut Files, now: Tick, round: usize) -> Option<Duration> {
    let (uptime, own) = (kernel::uptime(), files.own_times());
    let process = cpu_time().map(|on_cpu| Times { on_cpu, waited: Duration::ZERO });
    let lives = |tid| thread::tids().any(|living| living == tid);
    files.keep_threads(lives);
    past().keep_threads(|tid| tid <= OWN || lives(tid));
    for tid in turn(thread::tids().count(), round) {
        if let Some(times) = files.times_of(tid) {
            past().seen(tid, now, times);
        }
    }
    let mut past = past();
    for (tid, times) in own.map(|own| (OWN, own)).into_iter().chain(process.map(|process| (PROCESS, process))) {
        past.seen(tid, now, times);
    }
    uptime.and_then(|uptime| past.compare_clocks(uptime))
}

/// Those of so many threads whose turn it is.
fn turn(count: usize, round: usize) -> impl Iterator<Item = i32> {
    let first = if count > LOOKS { round * LOOKS % count } else { 0 };
    let is_due = move |place: usize| (place + count - first) % count < LOOKS;
    thread::tids().take(count).enumerate().filter(move |(place, _)| is_due(*place)).map(|(_, tid)| tid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_sleeps_and_one_that_spins_are_the_codes_fault() {
        let (number, since) = (thread::current(), Tick::now());
        look(&mut Files::default(), since, 0);
        std::thread::sleep(Duration::from_millis(50));
        let threads = [number];
        let suspect = Suspect { since, until: Tick::now(), limit: Some(Duration::from_millis(1)), threads: &threads };
        let verdict = judge(&suspect);
        assert!(verdict.evidence.on_cpu.is_some() && verdict.evidence.window >= Duration::from_millis(50), "{verdict:?}");
        assert!(verdict.evidence.debugger.is_some() || !verdict.holds_back(), "{verdict:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_withheld_is_read_up_to_the_moment_that_is_judged() {
        read_withheld(Tick::now());
        std::thread::sleep(2 * withheld::FRESH);
        let since = Tick::now();
        std::thread::sleep(2 * withheld::FRESH);
        let verdict = judge(&Suspect { since, until: Tick::now(), limit: None, threads: &[thread::current()] });
        assert!(verdict.evidence.withheld.window >= withheld::FRESH, "{verdict:?}");
    }

    #[test]
    fn without_a_known_thread_nothing_is_held_back() {
        let suspect = Suspect { since: Tick::now(), until: Tick::now(), limit: None, threads: &[] };
        let verdict = judge(&suspect);
        assert!(matches!(verdict.blame, Blame::Unknown | Blame::Debugger), "{verdict:?}");
    }
}
