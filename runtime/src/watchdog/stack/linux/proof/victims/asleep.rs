//! Threads that are asleep, mostly: in a system call, in a lock, in a worker of tokio.

use std::ffi::c_int;
use std::hint::black_box;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;
use std::ptr::null_mut;
use std::sync::{Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use super::{ended, ready};

const FOREVER: Duration = Duration::from_secs(1_000_000);

#[inline(never)]
pub(super) fn sleeping() {
    ready();
    thread::sleep(FOREVER);
    // So that it is no tail call, here and below.
    black_box(());
}

/// Sleeps for ever, after it has said who it is.
#[inline(never)]
pub(in super::super) fn sleep_and_tell(tell: &mpsc::Sender<i32>) {
    // SAFETY: a plain question.
    tell.send(unsafe { libc::gettid() }).unwrap();
    thread::sleep(FOREVER);
    black_box(());
}

#[inline(never)]
pub(super) fn napping() {
    ready();
    let long = libc::timespec { tv_sec: 1_000_000, tv_nsec: 0 };
    loop {
        // SAFETY: reads one structure.
        unsafe { libc::nanosleep(&raw const long, null_mut()) };
        ended();
    }
}

#[inline(never)]
pub(super) fn locking() {
    let lock = Mutex::new(());
    let _held = lock.lock();
    ready();
    // What a second thread would see, without one.
    drop(black_box(&lock).lock());
    black_box(());
}

#[inline(never)]
pub(super) fn reading_a_lock() {
    static LOCK: RwLock<()> = RwLock::new(());
    thread::spawn(|| {
        let _held = LOCK.write();
        thread::sleep(FOREVER);
    });
    thread::sleep(Duration::from_millis(200));
    ready();
    drop(LOCK.read());
    black_box(());
}

#[inline(never)]
pub(super) fn awaiting_a_condition() {
    let (lock, condition) = (Mutex::new(()), Condvar::new());
    ready();
    let _ = black_box(condition.wait_timeout(lock.lock().unwrap(), FOREVER));
}

#[inline(never)]
pub(super) fn receiving() {
    let (_sender, receiver) = mpsc::channel::<()>();
    ready();
    let _ = black_box(receiver.recv());
}

#[inline(never)]
pub(super) fn joining() {
    let other = thread::spawn(|| thread::sleep(FOREVER));
    ready();
    let _ = black_box(other.join());
}

fn pipe() -> [c_int; 2] {
    let mut ends = [0; 2];
    // SAFETY: writes two numbers.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    ends
}

#[inline(never)]
pub(super) fn reading() {
    let [end, _open] = pipe();
    ready();
    loop {
        // SAFETY: reads into one byte.
        unsafe { libc::read(end, (&raw mut *black_box(&mut 0_u8)).cast(), 1) };
        ended();
    }
}

#[inline(never)]
pub(super) fn writing() {
    let [_open, end] = pipe();
    let bytes = vec![0_u8; 1 << 20];
    ready();
    loop {
        // SAFETY: writes bytes that are there.
        unsafe { libc::write(end, bytes.as_ptr().cast(), bytes.len()) };
        ended();
    }
}

#[inline(never)]
pub(super) fn polling() {
    let [end, _open] = pipe();
    ready();
    let mut asked = libc::pollfd { fd: end, events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: one structure.
        unsafe { libc::poll(&raw mut asked, 1, -1) };
        ended();
    }
}

#[inline(never)]
pub(super) fn waiting_for_events() {
    // SAFETY: a new descriptor.
    let events = unsafe { libc::epoll_create1(0) };
    let mut event = MaybeUninit::<libc::epoll_event>::uninit();
    ready();
    loop {
        // SAFETY: room for one event.
        unsafe { libc::epoll_wait(events, event.as_mut_ptr(), 1, -1) };
        ended();
    }
}

#[inline(never)]
pub(super) fn accepting() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into_raw_fd();
    ready();
    loop {
        // SAFETY: asks for no address.
        unsafe { libc::accept(listener, null_mut(), null_mut()) };
        ended();
    }
}

#[inline(never)]
pub(super) fn waiting_for_a_child() {
    // SAFETY: the child does nothing but wait, and ends with its parent.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: plain calls.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            loop {
                libc::pause();
            }
        }
    }
    ready();
    loop {
        // SAFETY: asks for no status.
        unsafe { libc::waitpid(child, null_mut(), 0) };
        ended();
    }
}

#[inline(never)]
pub(super) fn blinking() {
    ready();
    loop {
        thread::sleep(Duration::from_micros(200));
    }
}

pub(super) fn worker() {
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.spawn(async { sleeping() });
        let [end, _open] = pipe();
        // SAFETY: the descriptor is ours.
        let mut never = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(end) };
        let _ = never.read(&mut [0]);
        drop(runtime);
    });
}
