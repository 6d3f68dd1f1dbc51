//! What Linux tells about this process, read by hand. Elsewhere nothing is told, and verdicts say so.

use std::fs::File;
use std::io::{Read, Seek};
use std::time::Duration;

use crate::text::Text;

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
    read_times(&mut open_times(tid)?)
}

/// The file with the times of a thread of this process.
pub(super) fn open_times(tid: i32) -> Option<File> {
    open(Text::<48>::of(format_args!("/proc/self/task/{tid}/schedstat")).as_str())
}

/// The file with the times of the thread that asks.
pub(super) fn open_own_times() -> Option<File> {
    open("/proc/thread-self/schedstat")
}

/// The times as they are now.
pub(super) fn read_times(file: &mut File) -> Option<Times> {
    file.rewind().ok()?;
    times(read(file, &mut [0; TIMES])?)
}

/// Who traces this process: a debugger, or a program like it.
pub(crate) fn debugger() -> Option<u32> {
    tracer(beginning("/proc/self/status", &mut [0; PIECE])?)
}

/// In how many percent of the last 10 seconds somebody on this host waited for a CPU.
pub(super) fn pressure() -> Option<f64> {
    average(beginning("/proc/pressure/cpu", &mut [0; PIECE])?)
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
    ticks_in(beginning("/proc/stat", &mut [0; PIECE])?)
}

/// As much as is read of a file with times: three numbers.
const TIMES: usize = 64;
/// As much as is read of any other file.
pub(super) const PIECE: usize = 4096;

/// What a file says, as far as it fits into `piece`, read without the heap, which a stuck thread may hold.
pub(super) fn beginning<'a>(path: &str, piece: &'a mut [u8]) -> Option<&'a str> {
    read(&mut open(path)?, piece)
}

fn open(path: &str) -> Option<File> {
    if cfg!(target_os = "linux") { File::open(path).ok() } else { None }
}

fn read<'a>(file: &mut File, piece: &'a mut [u8]) -> Option<&'a str> {
    // The kernel fills the piece in one go, or the file ends in it.
    let length = file.read(piece).ok()?;
    std::str::from_utf8(&piece[..length]).ok()
}

/// `ON_CPU WAITED SLICES`, in nanoseconds.
fn times(text: &str) -> Option<Times> {
    let mut numbers = text.split_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    Some(Times { on_cpu: numbers.next()?.ok()?, waited: numbers.next()?.ok()? })
}

fn tracer(status: &str) -> Option<u32> {
    let pid = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()?;
    (pid != 0).then_some(pid)
}

/// `cpu  USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL GUEST GUEST_NICE`; what guests had is in the first two.
fn ticks_in(stat: &str) -> Option<Ticks> {
    let mut numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (user, nice, system, _idle, _iowait) = (next()?, next()?, next()?, next()?, next()?);
    let (irq, softirq, stolen) = (next()?, next()?, next()?);
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
        assert_eq!((tracer("Name:\tx\nTracerPid:\t77\nUid:\t0\n"), tracer("TracerPid:\t0\n")), (Some(77), None));
        let of_a_virtual_machine = "cpu  3047607 20726 391400 1276878 14680 0 4570 13502 0 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(ticks_in(of_a_virtual_machine), Some(Ticks { busy: 3_464_303, stolen: 13_502 }));
        assert_eq!((ticks_in("cpu  1 2 3 4 5 6 7\n"), ticks_in("intr 1")), (None, None), "before there was steal time");
        assert_eq!(average("some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.00"), Some(12.5));
    }
}
