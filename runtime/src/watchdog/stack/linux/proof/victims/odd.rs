//! Threads whose stacks are hard to read: deep, being cut by a panic, without unwind tables, under a signal handler, closed to signals.

use std::ffi::c_int;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::panic::catch_unwind;
use std::ptr::null_mut;

use super::ready;
use super::running::spinning;

#[inline(never)]
pub(super) fn panicking() {
    std::panic::set_hook(Box::new(|_| {}));
    ready();
    loop {
        let _ = catch_unwind(|| throw(black_box(3)));
    }
}

#[inline(never)]
fn throw(depth: u32) {
    if depth == 0 {
        std::panic::panic_any(());
    }
    throw(depth - 1);
    black_box(());
}

#[inline(never)]
pub(super) fn start_of_deep() {
    deep::<1024>(300);
    black_box(());
}

#[inline(never)]
pub(super) fn start_of_very_deep() {
    deep::<64>(3000);
    black_box(());
}

#[inline(never)]
fn deep<const SIZE: usize>(depth: u32) {
    let room = black_box([0_u8; SIZE]);
    match depth {
        0 => spinning(),
        _ => deep::<SIZE>(depth - 1),
    }
    black_box(room);
}

std::arch::global_asm!(
    ".text",
    ".type backstop_test_without_tables, @function",
    "backstop_test_without_tables:",
    "push rbp",
    "mov rbp, rsp",
    "sub rsp, 64",
    "2: pause",
    "inc qword ptr [rsp]",
    "jmp 2b",
    ".size backstop_test_without_tables, . - backstop_test_without_tables",
);

unsafe extern "C" {
    fn backstop_test_without_tables();
}

#[inline(never)]
pub(super) fn without_tables() {
    ready();
    // SAFETY: spins for ever on its own stack.
    unsafe { backstop_test_without_tables() };
    black_box(());
}

extern "C" fn stuck_handler(_: c_int) {
    spinning();
}

fn handle(flags: c_int) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a zeroed action is valid; the handler spins for ever, which is what is wanted.
    unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = stuck_handler as extern "C" fn(c_int) as usize;
        action.sa_flags = flags;
        libc::sigaction(libc::SIGUSR1, action, null_mut());
    }
}

#[inline(never)]
pub(super) fn handled() {
    handle(0);
    // SAFETY: the handler is ours.
    unsafe { libc::raise(libc::SIGUSR1) };
    black_box(());
}

#[inline(never)]
pub(super) fn handled_elsewhere() {
    let room = Box::leak(vec![0_u8; 1 << 18].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: room.as_mut_ptr().cast(), ss_flags: 0, ss_size: room.len() };
    // SAFETY: the memory is never given back.
    unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
    handle(libc::SA_ONSTACK);
    // SAFETY: the handler is ours.
    unsafe { libc::raise(libc::SIGUSR1) };
    black_box(());
}

pub(super) fn blocking(victim: fn()) {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled before it is read.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), null_mut());
    }
    victim();
}
