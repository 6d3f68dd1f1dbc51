//! What Linux tells about this process, read by hand. Elsewhere nothing is told, and verdicts say so.

use std::fs;
use std::time::Duration;

use crate::clock::Tick;

/// How a thread has spent its life so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// On a CPU.
    pub(super) on_cpu: Duration,
    /// Able to run, and waiting for a CPU: in the run queue, or throttled with its control group.
    pub(super) waited: Duration,
}

impl Times {
    /// What was added since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self { on_cpu: self.on_cpu.saturating_sub(before.on_cpu), waited: self.waited.saturating_sub(before.waited) }
    }
}

/// The times of a thread of this process; `None` where it has ended, or the kernel does not count them.
pub(super) fn times_of(tid: i32) -> Option<Times> {
    times(&text(&format!("/proc/self/task/{tid}/schedstat"))?)
}

/// The times of the thread that asks.
pub(super) fn own_times() -> Option<Times> {
    times(&text("/proc/thread-self/schedstat")?)
}

/// The CPU time of all threads of this process, those that have ended included.
pub(crate) fn cpu_time() -> Option<Duration> {
    cpu_time_in(&text("/proc/self/stat")?)
}

/// The time since the host was started, with the time that it slept; and the monotonic time, without, before and after it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uptime {
    pub(super) before: Tick,
    pub(super) time: Duration,
    pub(super) after: Tick,
}

pub(super) fn uptime() -> Option<Uptime> {
    let before = Tick::now();
    let text = text("/proc/uptime")?;
    let after = Tick::now();
    let seconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some(Uptime { before, time: Duration::try_from_secs_f64(seconds).ok()?, after })
}

/// Who traces this process: a debugger, or a program like it.
pub(super) fn debugger() -> Option<u32> {
    tracer(&text("/proc/self/status")?)
}

/// In how many percent of the last 10 seconds somebody on this host waited for a CPU.
pub(super) fn pressure() -> Option<f64> {
    average(&text("/proc/pressure/cpu")?)
}

/// What the CPUs of this machine did since it was started, in the kernel's ticks, all of them added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    /// They worked.
    pub(super) busy: u64,
    /// They had work, and the machine under this one gave their time to others.
    pub(super) stolen: u64,
}

impl Ticks {
    /// What was added since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self { busy: self.busy.saturating_sub(before.busy), stolen: self.stolen.saturating_sub(before.stolen) }
    }

    /// How much of their work was taken; `None` where they had none.
    #[allow(clippy::cast_precision_loss, reason = "a percentage")]
    pub(super) fn stolen_percent(self) -> Option<f64> {
        let all = self.busy.saturating_add(self.stolen);
        (all > 0).then(|| 100.0 * self.stolen as f64 / all as f64)
    }
}

/// What the CPUs did.
pub(super) fn ticks() -> Option<Ticks> {
    ticks_in(&text("/proc/stat")?)
}

pub(super) fn text(path: &str) -> Option<String> {
    if cfg!(target_os = "linux") { fs::read_to_string(path).ok() } else { None }
}

/// `ON_CPU WAITED SLICES`, in nanoseconds.
fn times(text: &str) -> Option<Times> {
    let mut numbers = text.split_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    Some(Times { on_cpu: numbers.next()?.ok()?, waited: numbers.next()?.ok()? })
}

/// Fields 14 and 15: user and system time in ticks of 10 ms. The second field is the program's name in brackets, which may hold spaces and
/// brackets.
fn cpu_time_in(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(user.checked_add(system)?.checked_mul(10)?))
}

fn tracer(status: &str) -> Option<u32> {
    let pid = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()?;
    (pid != 0).then_some(pid)
}

/// `cpu  USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL GUEST GUEST_NICE`; what guests had is in the first two.
fn ticks_in(stat: &str) -> Option<Ticks> {
    let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(str::parse::<u64>);
    let [user, nice, system, _, _, irq, softirq, stolen, ..] = numbers.collect::<Result<Vec<_>, _>>().ok()?[..] else { return None };
    Some(Ticks { busy: user + nice + system + irq + softirq, stolen })
}

/// `some avg10=12.50 avg60=…`
fn average(text: &str) -> Option<f64> {
    text.lines().next()?.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_is_read_as_the_kernel_writes_it() {
        let read = Times { on_cpu: Duration::from_nanos(1_500), waited: Duration::from_secs(2) };
        assert_eq!(times("1500 2000000000 17\n"), Some(read));
        assert_eq!(times("0 garbage"), None);
        let stat = "42 (a ) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 8 0 100 1 2";
        assert_eq!(cpu_time_in("no brackets"), None);
        assert_eq!(cpu_time_in(stat), Some(Duration::from_millis(1750)));
        assert_eq!((tracer("Name:\tx\nTracerPid:\t77\nUid:\t0\n"), tracer("TracerPid:\t0\n")), (Some(77), None));
        let of_a_virtual_machine = "cpu  3047607 20726 391400 1276878 14680 0 4570 13502 0 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(ticks_in(of_a_virtual_machine), Some(Ticks { busy: 3_464_303, stolen: 13_502 }));
        assert_eq!((ticks_in("cpu  1 2 3 4 5 6 7\n"), ticks_in("intr 1")), (None, None), "before there was steal time");
        assert_eq!(average("some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.00"), Some(12.5));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_thread_and_this_host_have_times() {
        // The kernel counts when the thread leaves its CPU, or at the next tick.
        std::thread::sleep(Duration::from_millis(10));
        assert!(own_times().unwrap().on_cpu > Duration::ZERO);
        assert!(cpu_time().is_some());
        assert!(uptime().unwrap().time > Duration::ZERO);
        assert_eq!(times_of(i32::MAX), None);
    }
}
