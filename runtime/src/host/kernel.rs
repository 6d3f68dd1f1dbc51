//! What Linux tells in a system call and not in procfs. Elsewhere nothing is told.

use std::time::Duration;

use crate::clock::Tick;

/// The time since the host was started, with the time that it slept; and the monotonic time, without, before and after it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uptime {
    pub(super) before: Tick,
    pub(super) time: Duration,
    pub(super) after: Tick,
}

pub(super) fn uptime() -> Option<Uptime> {
    let before = Tick::now();
    let time = since_boot()?;
    Some(Uptime { before, time, after: Tick::now() })
}

#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    clock(libc::CLOCK_BOOTTIME)
}

/// The CPU time of all threads of this process, those that have ended included.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_time() -> Option<Duration> {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

#[cfg(target_os = "linux")]
fn clock(which: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a time to where it is told, which is ours.
    let told = unsafe { libc::clock_gettime(which, &raw mut time) } == 0;
    told.then_some(())?;
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// Has this thread woken when it wants to be, and not up to 50 µs later together with others.
#[cfg(target_os = "linux")]
pub(super) fn wake_on_time() {
    // SAFETY: it changes a number of this thread's; 1 ns is the least that there is.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Duration> {
    None
}

/// The CPU time of this process; not available on this platform.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_time() -> Option<Duration> {
    None
}

/// Has this thread woken as punctually as this platform can.
#[cfg(not(target_os = "linux"))]
pub(super) fn wake_on_time() {}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_of_the_kernel_go_forward() {
        let (uptime, used) = (uptime().unwrap(), cpu_time().unwrap());
        std::thread::sleep(Duration::from_millis(5));
        let later = super::uptime().unwrap();
        assert!(later.time.saturating_sub(uptime.time) >= Duration::from_millis(5) && uptime.before <= uptime.after);
        assert!(cpu_time().unwrap() >= used && used > Duration::ZERO);
    }
}
