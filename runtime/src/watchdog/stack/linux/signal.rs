//! Registers and stack of a thread that runs: a real-time signal makes the thread copy them itself.
//!
//! This is the side that asks; `handler` is what the thread does. A thread that is asleep is never sent one, so that no system call is interrupted by it, except one that the
//! thread enters in the instant before it arrives.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

use super::handler::{ASKED, COPIED, COPYING, DONE, EXCHANGE, IDLE, Queued, answer};
use super::memory::{self, Way};
use super::procfs;
use super::unwind::Registers;

/// How long a thread may take to answer: it may have to wait for a CPU.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often, and first how far apart, a thread that blocks the signal is looked at before it counts as blocking it.
const LOOKS: u32 = 8;
const SHORTLY: Duration = Duration::from_micros(100);

/// Why a thread gave no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It blocks the signal.
    Blocked,
    /// It did not answer in time.
    Silent,
    /// No signal is free, or memory may not be read here.
    Impossible,
}

/// The right to ask threads for copies; one at a time in a process.
pub(super) struct Copies {
    number: u64,
    signal: Option<c_int>,
    /// The thread that was asked last; 0 for none.
    asked: i32,
}

static TAKEN: AtomicBool = AtomicBool::new(false);

impl Drop for Copies {
    fn drop(&mut self) {
        TAKEN.store(false, Release);
    }
}

impl Copies {
    /// The right, where nobody has it.
    pub(super) fn take() -> Option<Self> {
        if TAKEN.swap(true, Acquire) {
            return None;
        }
        let number = EXCHANGE.state.load(Acquire) >> 2;
        Some(Self { number, signal: None, asked: 0 })
    }

    /// Where a copy goes; nobody writes there while this is borrowed.
    pub(super) fn buffer(&mut self) -> Option<&mut [u8]> {
        // A handler that came too late to be waited for may still be copying.
        if EXCHANGE.state.load(Acquire) & 3 == COPYING {
            return None;
        }
        // SAFETY: this is the only holder, and no handler owns the cell: only `ask` moves the state to ASKED, and it borrows all of this.
        Some(unsafe { &mut *EXCHANGE.copy.get() })
    }

    /// Has the thread copy its registers and its stack from the red zone on; how much was copied into [`buffer`](Self::buffer).
    pub(super) fn ask(&mut self, tid: i32) -> Result<(Registers, usize), Refusal> {
        let signal = self.signal().ok_or(Refusal::Impossible)?;
        // A thread that was asked just now may be in our handler still, and get no CPU to return from it.
        let (looks, refusal) = if self.asked == tid { (2 * LOOKS - 4, Refusal::Silent) } else { (LOOKS, Refusal::Blocked) };
        if !becomes_open(tid, signal, looks) {
            return Err(refusal);
        }
        self.buffer().ok_or(Refusal::Silent)?;
        (self.number, self.asked) = (self.number + 1, tid);
        EXCHANGE.state.store(self.number << 2 | ASKED, Release);
        if !send(tid, signal, self.number) || !self.wait() {
            return Err(Refusal::Silent);
        }
        // SAFETY: the handler is done, as `wait` has seen, and no other is asked.
        let registers = unsafe { *EXCHANGE.registers.get() };
        Ok((Registers(registers.map(Some)), EXCHANGE.copied.load(Relaxed).min(COPIED)))
    }

    /// Waits until the answer is there; a late one is refused from then on.
    fn wait(&self) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            let bell = EXCHANGE.bell.load(Acquire);
            let state = EXCHANGE.state.load(Acquire);
            if state == self.number << 2 | DONE {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let refused = EXCHANGE.state.compare_exchange(self.number << 2 | ASKED, self.number << 2 | IDLE, AcqRel, Acquire);
                return refused == Err(self.number << 2 | DONE);
            }
            sleep_on(&EXCHANGE.bell, bell, left);
        }
    }

    /// The signal, with our handler in place; `None` where none is free.
    fn signal(&mut self) -> Option<c_int> {
        if self.signal.is_some_and(|signal| handler_of(signal) == Some(ours())) {
            return self.signal;
        }
        match memory::way() {
            Way::Call => EXCHANGE.file.store(-1, Relaxed),
            Way::File(file) => EXCHANGE.file.store(std::os::fd::AsRawFd::as_raw_fd(file), Relaxed),
            Way::Closed => return None,
        }
        // The first ones are what programs choose themselves.
        self.signal = (libc::SIGRTMIN() + 8..=libc::SIGRTMAX()).find(|signal| install(*signal));
        self.signal
    }
}

/// Whether the thread takes the signal, now or in a moment: the library blocks all signals for short stretches, and so does our own
/// handler until it has returned.
fn becomes_open(tid: i32, signal: c_int, looks: u32) -> bool {
    (0..looks).any(|look| {
        if look > 0 {
            std::thread::sleep(SHORTLY * 2_u32.pow(look));
        }
        procfs::blocks(tid, signal) == Some(false)
    })
}

fn ours() -> usize {
    answer as extern "C" fn(c_int, *mut libc::siginfo_t, *mut std::ffi::c_void) as usize
}

/// The handler of a signal.
fn handler_of(signal: c_int) -> Option<usize> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only; the structure is plain data that the call fills.
    let action = unsafe { (libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0).then(|| action.assume_init()) }?;
    Some(action.sa_sigaction)
}

/// Puts our handler in the place of a signal that nobody handles, or that we handle already.
fn install(signal: c_int) -> bool {
    if handler_of(signal) == Some(ours()) {
        return true;
    }
    if handler_of(signal) != Some(libc::SIG_DFL) {
        return false;
    }
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zero is a valid action, which is filled before it is used; `answer` is safe to run at any instruction of any thread.
    unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = ours();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigfillset(&raw mut action.sa_mask);
        libc::sigaction(signal, action, std::ptr::null_mut()) == 0
    }
}

fn send(tid: i32, signal: c_int, number: u64) -> bool {
    // SAFETY: plain questions, and a structure that the call only reads. The signal has our handler, which every thread can run.
    unsafe {
        let pid = libc::getpid();
        let queued = Queued { signal, error: 0, code: libc::SI_QUEUE, _gap: 0, pid, uid: libc::getuid(), value: number, _rest: [0; 12] };
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signal, &raw const queued) == 0
    }
}

fn sleep_on(bell: &AtomicU32, seen: u32, at_most: Duration) {
    let time = libc::timespec { tv_sec: at_most.as_secs().cast_signed(), tv_nsec: i64::from(at_most.subsec_nanos()) };
    // SAFETY: the kernel compares the word and sleeps; both references live longer than the call.
    unsafe { libc::syscall(libc::SYS_futex, bell.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, seen, &raw const time) };
}
