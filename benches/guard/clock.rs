//! What was used: time of a processor by this thread or this program, memory, the watchdog's share.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time that this thread has used, in nanoseconds.
pub fn thread() -> f64 {
    nanos(ClockId::ThreadCPUTime)
}

/// The processor time that all threads of this program have used, in nanoseconds.
pub fn process() -> f64 {
    nanos(ClockId::ProcessCPUTime)
}

fn nanos(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The memory of this program that is resident, in bytes; `None` where there is no `/proc`.
pub fn resident() -> Option<f64> {
    let pages: f64 = fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as f64)
}

/// A thread of this program, by the beginning of its name.
pub struct Thread(std::path::PathBuf);

/// What a thread has done so far.
#[derive(Clone, Copy)]
pub struct Work {
    /// The processor time that it has used.
    pub busy: Duration,
    /// How often it went to sleep.
    pub sleeps: u64,
}

impl Thread {
    /// The first thread whose name begins so; `None` where there is none, or no `/proc`.
    pub fn named(name: &str) -> Option<Self> {
        let tasks = fs::read_dir("/proc/self/task").ok()?.filter_map(Result::ok).map(|entry| entry.path());
        let is_named = |task: &std::path::PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.starts_with(name));
        tasks.into_iter().find(is_named).map(Self)
    }

    /// What it has done so far.
    pub fn work(&self) -> Option<Work> {
        let schedule = fs::read_to_string(self.0.join("schedstat")).ok()?;
        let status = fs::read_to_string(self.0.join("status")).ok()?;
        let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        let busy = Duration::from_nanos(schedule.split_whitespace().next()?.parse().ok()?);
        Some(Work { busy, sleeps: sleeps.trim().parse().ok()? })
    }
}
