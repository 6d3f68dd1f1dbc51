//! Who watches the watchdog: the reporter. Elsewhere the watchdog looks whether the reporter is stuck.

use std::fs;
use std::time::Duration;

use super::{Finding, IncidentKind};
use crate::clock::Tick;
use crate::host::Verdict;
use crate::metrics::beat;

/// A watchdog that is silent for this long …
const SILENT: Duration = Duration::from_secs(2);
/// … and for so many looks of the reporter is late, and not merely the process as a whole.
const LOOKS: u32 = 4;

/// What the reporter has seen of the watchdog.
#[derive(Default)]
pub(super) struct Overseer {
    silent: u32,
}

impl Overseer {
    /// Looks whether the watchdog still comes round; what is wrong, when that is first seen.
    pub(super) fn look(&mut self, silence: Duration) -> bool {
        self.silent = if silence >= SILENT { self.silent.saturating_add(1) } else { 0 };
        self.silent == LOOKS
    }
}

/// The watchdog has not come round for a while, whatever holds it.
pub(super) fn finding(now: Tick) -> Finding {
    let silence = beat::WATCHDOG.silence(now);
    let state = state_of("backstop-watchdog").map(|state| format!(" ({state})")).unwrap_or_default();
    let note = format!("the watchdog's thread does not come round{state}; nothing is judged meanwhile, and no limit wakes its call");
    let verdict = Some(Verdict::unknown("the watchdog, who would know, is silent"));
    Finding { note: Some(note), verdict, ..Finding::process(IncidentKind::WatchdogLate, now, silence) }
}

/// What procfs says of the thread of this name: its state, and what it waits for in the kernel.
fn state_of(name: &str) -> Option<String> {
    // The kernel keeps 15 bytes of a name.
    let short = name.get(..15).unwrap_or(name);
    let tasks = fs::read_dir("/proc/self/task").ok()?.flatten().map(|task| task.path());
    let task = tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == short)).last()?;
    let status = fs::read_to_string(task.join("status")).ok()?;
    let state = status.lines().find_map(|line| line.strip_prefix("State:"))?.trim().to_owned();
    match fs::read_to_string(task.join("wchan")).unwrap_or_default().trim() {
        "" | "0" => Some(state),
        place => Some(format!("{state}, in the kernel's {place}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_late_when_the_reporter_comes_round_four_times_and_it_does_not() {
        let mut overseer = Overseer::default();
        let looks = [0, 3, 4, 0, 3, 4, 4, 5, 5, 6, 0].map(|seconds| overseer.look(Duration::from_secs(seconds)));
        assert_eq!(looks.iter().position(|late| *late), Some(7));
        assert_eq!(looks.iter().filter(|late| **late).count(), 1, "told once");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_is_found_by_its_name() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("oversee-a-long-name".into()).spawn(move || stopped.recv()).unwrap();
        while state_of("oversee-a-long-name").is_none_or(|state| !state.starts_with("S (sleeping)")) {
            std::thread::yield_now();
        }
        drop(stop);
        assert!(thread.join().unwrap().is_err(), "its sender is gone");
        assert_eq!(state_of("no thread is called so"), None);
    }
}
