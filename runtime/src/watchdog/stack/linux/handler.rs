//! What a thread that is asked for its stack does, and the memory that it fills.
//!
//! The handler copies registers and stack into memory that was set aside beforehand and returns: no heap, no lock, no library function, no
//! unwinding, and `errno` is not touched.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

use super::unwind::REGISTERS;

/// So much of the stack is copied; the rest of a deeper one is read afterwards.
pub(super) const COPIED: usize = 256 * 1024;
/// What a leaf function may use below its stack pointer.
pub(super) const RED_ZONE: u64 = 128;

/// What the capturing thread and the handler share. The capturing thread owns `copy` and `registers`, except from `ASKED` to `DONE`.
pub(super) struct Exchange {
    /// `number of the request << 2 | state`.
    pub(super) state: AtomicU64,
    /// Changes when the answer is there: what the capturing thread sleeps on.
    pub(super) bell: AtomicU32,
    pub(super) copied: AtomicUsize,
    /// The file to read memory from, or -1 for the call.
    pub(super) file: AtomicI32,
    pub(super) registers: UnsafeCell<[u64; REGISTERS]>,
    pub(super) copy: UnsafeCell<[u8; COPIED]>,
}

pub(super) const IDLE: u64 = 0;
pub(super) const ASKED: u64 = 1;
pub(super) const COPYING: u64 = 2;
pub(super) const DONE: u64 = 3;

// SAFETY: the two cells change hands by `state`: the handler that moves it from ASKED to COPYING owns them until it stores DONE, and at all
// other times the one holder of `Copies` does.
unsafe impl Sync for Exchange {}

pub(super) static EXCHANGE: Exchange = Exchange {
    state: AtomicU64::new(IDLE),
    bell: AtomicU32::new(0),
    copied: AtomicUsize::new(0),
    file: AtomicI32::new(-1),
    registers: UnsafeCell::new([0; REGISTERS]),
    copy: UnsafeCell::new([0; COPIED]),
};

/// The head of the kernel's `siginfo_t` of a queued signal.
#[repr(C)]
pub(super) struct Queued {
    pub(super) signal: c_int,
    pub(super) error: c_int,
    pub(super) code: c_int,
    pub(super) _gap: c_int,
    pub(super) pid: c_int,
    pub(super) uid: u32,
    pub(super) value: u64,
    pub(super) _rest: [u64; 12],
}

const _: () = assert!(size_of::<Queued>() == size_of::<libc::siginfo_t>());

/// Runs on whichever thread is asked, at any instruction: system calls are made directly, and nothing here can unwind.
pub(super) extern "C" fn answer(_signal: c_int, queued: *mut libc::siginfo_t, context: *mut c_void) {
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
    use std::mem::MaybeUninit;

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
