//! Registers and stack of a thread that runs: a real-time signal makes the thread copy them itself.
//!
//! The handler copies into memory that was set aside beforehand and returns: no heap, no lock, no library function, no unwinding, and
//! `errno` is not touched. A thread that is asleep is never sent one, so that no system call is interrupted by it, except one that the
//! thread enters in the instant before it arrives.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};

use super::memory::{self, Way};
use super::procfs;
use super::unwind::{REGISTERS, Registers};

/// So much of the stack is copied; the rest of a deeper one is read afterwards.
pub(super) const COPIED: usize = 256 * 1024;
/// What a leaf function may use below its stack pointer.
pub(super) const RED_ZONE: u64 = 128;
/// How long a thread may take to answer: it may have to wait for a CPU.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often, and how far apart, a thread that blocks the signal is looked at before it counts as blocking it.
const LOOKS: u32 = 10;
const SHORTLY: Duration = Duration::from_millis(2);

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

/// What the capturing thread and the handler share. The capturing thread owns `copy` and `registers`, except from `ASKED` to `DONE`.
struct Exchange {
    /// `number of the request << 2 | state`.
    state: AtomicU64,
    /// Changes when the answer is there: what the capturing thread sleeps on.
    bell: AtomicU32,
    copied: AtomicUsize,
    /// The file to read memory from, or -1 for the call.
    file: AtomicI32,
    registers: UnsafeCell<[u64; REGISTERS]>,
    copy: UnsafeCell<[u8; COPIED]>,
}

const IDLE: u64 = 0;
const ASKED: u64 = 1;
const COPYING: u64 = 2;
const DONE: u64 = 3;

// SAFETY: the two cells change hands by `state`: the handler that moves it from ASKED to COPYING owns them until it stores DONE, and at all
// other times the one holder of `Copies` does.
unsafe impl Sync for Exchange {}

static EXCHANGE: Exchange = Exchange {
    state: AtomicU64::new(IDLE),
    bell: AtomicU32::new(0),
    copied: AtomicUsize::new(0),
    file: AtomicI32::new(-1),
    registers: UnsafeCell::new([0; REGISTERS]),
    copy: UnsafeCell::new([0; COPIED]),
};

/// The right to ask threads for copies; one at a time in a process.
pub(super) struct Copies {
    number: u64,
    signal: Option<c_int>,
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
        Some(Self { number, signal: None })
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
        if !becomes_open(tid, signal) {
            return Err(Refusal::Blocked);
        }
        self.buffer().ok_or(Refusal::Silent)?;
        self.number += 1;
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
fn becomes_open(tid: i32, signal: c_int) -> bool {
    (0..LOOKS).any(|look| {
        if look > 0 {
            std::thread::sleep(SHORTLY);
        }
        procfs::blocks(tid, signal) == Some(false)
    })
}

fn ours() -> usize {
    answer as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize
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

/// The head of the kernel's `siginfo_t` of a queued signal.
#[repr(C)]
struct Queued {
    signal: c_int,
    error: c_int,
    code: c_int,
    _gap: c_int,
    pid: c_int,
    uid: u32,
    value: u64,
    _rest: [u64; 12],
}

const _: () = assert!(size_of::<Queued>() == size_of::<libc::siginfo_t>());

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

/// The handler. Runs on whichever thread is asked, at any instruction: system calls are made directly, and nothing here can unwind.
extern "C" fn answer(_signal: c_int, queued: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO valid pointers to these structures.
    let (queued, machine) = unsafe { (&*queued.cast::<Queued>(), &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs) };
    let asked = queued.value << 2 | ASKED;
    if queued.code != libc::SI_QUEUE || EXCHANGE.state.compare_exchange(asked, queued.value << 2 | COPYING, AcqRel, Acquire).is_err() {
        return;
    }
    // SAFETY: the exchange of the state above gave both cells to this handler.
    unsafe {
        let registers = EXCHANGE.registers.get().cast::<u64>();
        for (place, register) in IN_ORDER.iter().enumerate() {
            registers.add(place).write(machine[*register as usize].cast_unsigned());
        }
        let stack = machine[libc::REG_RSP as usize].cast_unsigned();
        let copied = copy(stack.wrapping_sub(RED_ZONE), EXCHANGE.copy.get().cast());
        EXCHANGE.copied.store(usize::try_from(copied).unwrap_or(0), Relaxed);
    }
    EXCHANGE.state.store(queued.value << 2 | DONE, Release);
    EXCHANGE.bell.fetch_add(1, Release);
    // SAFETY: wakes who sleeps on the word.
    unsafe { call(libc::SYS_futex, [EXCHANGE.bell.as_ptr() as u64, (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as u64, 1, 0, 0, 0]) };
}

/// The machine's registers in the order in which unwind tables number them.
const IN_ORDER: [c_int; REGISTERS] = [
    libc::REG_RAX,
    libc::REG_RDX,
    libc::REG_RCX,
    libc::REG_RBX,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_RBP,
    libc::REG_RSP,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
    libc::REG_RIP,
];

/// Copies from the stack until the buffer is full or the stack ends; the kernel reads, so a hole ends the copy and not the program.
///
/// # Safety
///
/// `into` is valid for writing `COPIED` bytes.
unsafe fn copy(from: u64, into: *mut u8) -> i64 {
    let file = EXCHANGE.file.load(Relaxed);
    // SAFETY: the kernel writes at most `COPIED` bytes to `into`, which the caller vouches for, and checks `from`.
    unsafe {
        if file >= 0 {
            return call(libc::SYS_pread64, [file as u64, into as u64, COPIED as u64, from, 0, 0]);
        }
        let (local, remote) = ([into as u64, COPIED as u64], [from, COPIED as u64]);
        let pid = call(libc::SYS_getpid, [0; 6]).cast_unsigned();
        call(libc::SYS_process_vm_readv, [pid, (&raw const local) as u64, 1, (&raw const remote) as u64, 1, 0])
    }
}

/// A system call without the library, which would set `errno`.
///
/// # Safety
///
/// As the call's own.
unsafe fn call(number: i64, [a, b, c, d, e, f]: [u64; 6]) -> i64 {
    let result;
    // SAFETY: the kernel's calling convention: it changes these three registers and memory that the arguments point to.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_came_too_late_is_refused() {
        // The number of no request.
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let mut context = MaybeUninit::<libc::ucontext_t>::zeroed();
        // SAFETY: both are plain data, and the structure has the size of the one that it stands for.
        unsafe {
            let queued = info.as_mut_ptr().cast::<Queued>();
            (*queued).code = libc::SI_QUEUE;
            (*queued).value = u64::MAX >> 3;
        }
        let before = EXCHANGE.bell.load(Acquire);
        answer(0, info.as_mut_ptr(), context.as_mut_ptr().cast());
        assert_eq!(EXCHANGE.bell.load(Acquire), before);
    }
}
