//! The stuck threads.

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;
use std::panic::catch_unwind;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::*;
use std::sync::{Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use super::row::Row;
use super::{INTERRUPTED, TID};

const FOREVER: Duration = Duration::from_secs(1_000_000);

/// A way to be stuck.
#[derive(Clone, Copy)]
pub(super) struct Situation {
    pub(super) name: &'static str,
    pub(super) start: fn(),
    /// What its stack must show.
    pub(super) function: &'static str,
    /// Of so many thousand.
    share: u64,
    /// The capture holds the heap meanwhile.
    pub(super) holds_heap: bool,
    /// The thread must say nothing, because it blocks the signal and runs.
    refuses: bool,
}

/// What a row is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rigour {
    /// Many captures on a machine with time: one that got no answer is one that was not found.
    Proof,
    /// Many on a machine that has none: up to one in twenty may get no answer.
    Loaded,
    /// A few, among other tests, on any machine: one may be lost, and half of them may get no answer.
    Short,
}

impl Situation {
    const fn new(name: &'static str, function: &'static str, start: fn()) -> Self {
        Self { name, start, function, share: 999, holds_heap: false, refuses: false }
    }

    /// What is wrong with a row.
    pub(super) fn judge(&self, row: &Row, rigour: Rigour) -> Option<String> {
        let misses = row.captures * (1000 - self.share);
        let (lost, may_be_silent) = match rigour {
            Rigour::Proof => (misses / 1000, 0),
            Rigour::Loaded => (misses / 1000, row.captures / 20),
            Rigour::Short => (1 + misses / 20, row.captures / 2),
        };
        let answered = if self.refuses { row.blocked } else { row.found };
        let excused = row.silent.min(may_be_silent);
        if row.crashed + row.stuck > 0 {
            Some("crashed or deadlocked".to_owned())
        } else if answered + excused + lost < row.captures {
            Some(format!("{answered} of {} captures were as expected, {} got no answer", row.captures, row.silent))
        } else if row.interrupted > 0 {
            Some(format!("{} system calls were interrupted", row.interrupted))
        } else if row.heap > 0 {
            Some(format!("capturing took from the heap {} times", row.heap))
        } else {
            None
        }
    }
}

/// All of them.
pub(super) const ALL: [Situation; 34] = [
    Situation::new("sleep", "victims::sleeping", || spawn(sleeping)),
    Situation::new("nanosleep", "victims::napping", || spawn(napping)),
    Situation::new("mutex (futex)", "victims::locking", || spawn(locking)),
    Situation::new("rwlock", "victims::reading_a_lock", || spawn(reading_a_lock)),
    Situation::new("condvar with a time limit", "victims::awaiting_a_condition", || spawn(awaiting_a_condition)),
    Situation::new("channel", "victims::receiving", || spawn(receiving)),
    Situation::new("join", "victims::joining", || spawn(joining)),
    Situation::new("read", "victims::reading", || spawn(reading)),
    Situation::new("write to a full pipe", "victims::writing", || spawn(writing)),
    Situation::new("poll", "victims::polling", || spawn(polling)),
    Situation::new("epoll", "victims::waiting_for_events", || spawn(waiting_for_events)),
    Situation::new("accept", "victims::accepting", || spawn(accepting)),
    Situation::new("waitpid", "victims::waiting_for_a_child", || spawn(waiting_for_a_child)),
    Situation::new("spin", "victims::spinning", || spawn(spinning)),
    Situation::new("malloc", "victims::allocating", || spawn(allocating)),
    Situation::new("malloc, four threads", "victims::allocating", || (0..4).for_each(|_| spawn(allocating))),
    Situation { holds_heap: true, ..Situation::new("holding the heap's lock", "victims::allocating", || spawn(allocating)) },
    Situation::new("mmap and munmap", "victims::mapping", || spawn(mapping)),
    Situation::new("memcpy", "victims::copying", || spawn(copying)),
    Situation::new("clock (vdso)", "victims::asking_the_time", || spawn(asking_the_time)),
    Situation::new("dlopen", "victims::loading", || spawn(loading)),
    Situation::new("dl_iterate_phdr", "victims::iterating", || spawn(iterating)),
    Situation::new("inside dl_iterate_phdr", "victims::holding_the_loader", || spawn(holding_the_loader)),
    Situation { share: 990, ..Situation::new("panicking", "victims::panicking", || spawn(panicking)) },
    Situation::new("backtraces", "victims::tracing", || spawn(tracing)),
    Situation::new("deep stack (300 KiB)", "victims::start_of_deep", || spawn(start_of_deep)),
    Situation::new("very deep stack (3000 frames)", "victims::start_of_very_deep", || spawn(start_of_very_deep)),
    Situation::new("no unwind tables", "victims::without_tables", || spawn(without_tables)),
    Situation::new("in a signal handler", "victims::handled", || spawn(handled)),
    Situation::new("in a handler on its own stack", "victims::handled_elsewhere", || spawn(handled_elsewhere)),
    Situation { refuses: true, ..Situation::new("signals blocked, running", "", || spawn(|| blocking(spinning))) },
    Situation::new("signals blocked, asleep", "victims::sleeping", || spawn(|| blocking(sleeping))),
    Situation::new("tokio worker", "victims::sleeping", worker),
    Situation::new("short sleeps", "victims::blinking", || spawn(blinking)),
];

fn spawn(victim: fn()) {
    let name = "victim".to_owned();
    thread::Builder::new().name(name).stack_size(16 << 20).spawn(victim).unwrap();
}

fn ready() {
    // SAFETY: a plain question.
    TID.store(unsafe { libc::gettid() }, Release);
}

/// Notes a call that ended although nothing happened.
fn ended() {
    if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted {
        INTERRUPTED.fetch_add(1, Relaxed);
    }
}

#[inline(never)]
fn sleeping() {
    ready();
    thread::sleep(FOREVER);
    // So that it is no tail call, here and below.
    black_box(());
}

/// Sleeps for ever, after it has said who it is.
#[inline(never)]
pub(super) fn sleep_and_tell(tell: &mpsc::Sender<i32>) {
    // SAFETY: a plain question.
    tell.send(unsafe { libc::gettid() }).unwrap();
    thread::sleep(FOREVER);
    black_box(());
}

#[inline(never)]
fn napping() {
    ready();
    let long = libc::timespec { tv_sec: 1_000_000, tv_nsec: 0 };
    loop {
        // SAFETY: reads one structure.
        unsafe { libc::nanosleep(&raw const long, null_mut()) };
        ended();
    }
}

#[inline(never)]
fn locking() {
    let lock = Mutex::new(());
    let _held = lock.lock();
    ready();
    // What a second thread would see, without one.
    drop(black_box(&lock).lock());
    black_box(());
}

#[inline(never)]
fn reading_a_lock() {
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
fn awaiting_a_condition() {
    let (lock, condition) = (Mutex::new(()), Condvar::new());
    ready();
    let _ = black_box(condition.wait_timeout(lock.lock().unwrap(), FOREVER));
}

#[inline(never)]
fn receiving() {
    let (_sender, receiver) = mpsc::channel::<()>();
    ready();
    let _ = black_box(receiver.recv());
}

#[inline(never)]
fn joining() {
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
fn reading() {
    let [end, _open] = pipe();
    ready();
    loop {
        // SAFETY: reads into one byte.
        unsafe { libc::read(end, (&raw mut *black_box(&mut 0_u8)).cast(), 1) };
        ended();
    }
}

#[inline(never)]
fn writing() {
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
fn polling() {
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
fn waiting_for_events() {
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
fn accepting() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into_raw_fd();
    ready();
    loop {
        // SAFETY: asks for no address.
        unsafe { libc::accept(listener, null_mut(), null_mut()) };
        ended();
    }
}

#[inline(never)]
fn waiting_for_a_child() {
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
fn spinning() {
    ready();
    let mut number = 1_u64;
    loop {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

#[inline(never)]
fn allocating() {
    ready();
    let mut kept: Vec<Vec<u8>> = (0..64).map(|_| Vec::new()).collect();
    let mut size = 1_usize;
    loop {
        size = (size * 7 + 11) % 100_003;
        kept[size % 64] = black_box(Vec::with_capacity(size));
    }
}

#[inline(never)]
fn mapping() {
    ready();
    loop {
        // SAFETY: fresh pages that nobody else knows.
        unsafe {
            let pages = libc::mmap(null_mut(), 1 << 22, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            pages.cast::<u8>().write_volatile(1);
            libc::munmap(pages, 1 << 22);
        }
    }
}

#[inline(never)]
fn copying() {
    ready();
    let from = vec![1_u8; 1 << 20];
    let mut into = vec![0_u8; 1 << 20];
    loop {
        black_box(&mut into).copy_from_slice(black_box(&from));
    }
}

#[inline(never)]
fn asking_the_time() {
    ready();
    loop {
        black_box(std::time::Instant::now());
    }
}

#[inline(never)]
fn loading() {
    ready();
    loop {
        // SAFETY: a library of the system without effects of its own.
        unsafe {
            let library = libc::dlopen(c"libresolv.so.2".as_ptr(), libc::RTLD_NOW);
            assert!(!library.is_null());
            libc::dlclose(library);
        }
    }
}

#[inline(never)]
fn iterating() {
    extern "C" fn each(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
        black_box(0)
    }
    ready();
    loop {
        // SAFETY: the function looks at nothing.
        unsafe { libc::dl_iterate_phdr(Some(each), null_mut()) };
    }
}

#[inline(never)]
fn holding_the_loader() {
    extern "C" fn stuck(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
        spinning();
        0
    }
    // SAFETY: the function looks at nothing.
    unsafe { libc::dl_iterate_phdr(Some(stuck), null_mut()) };
    black_box(());
}

#[inline(never)]
fn panicking() {
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
fn tracing() {
    ready();
    loop {
        drop(black_box(std::backtrace::Backtrace::force_capture()));
    }
}

#[inline(never)]
fn start_of_deep() {
    deep::<1024>(300);
    black_box(());
}

#[inline(never)]
fn start_of_very_deep() {
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
fn without_tables() {
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
fn handled() {
    handle(0);
    // SAFETY: the handler is ours.
    unsafe { libc::raise(libc::SIGUSR1) };
    black_box(());
}

#[inline(never)]
fn handled_elsewhere() {
    let room = Box::leak(vec![0_u8; 1 << 18].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: room.as_mut_ptr().cast(), ss_flags: 0, ss_size: room.len() };
    // SAFETY: the memory is never given back.
    unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
    handle(libc::SA_ONSTACK);
    // SAFETY: the handler is ours.
    unsafe { libc::raise(libc::SIGUSR1) };
    black_box(());
}

fn blocking(victim: fn()) {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled before it is read.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), null_mut());
    }
    victim();
}

#[inline(never)]
fn blinking() {
    ready();
    loop {
        thread::sleep(Duration::from_micros(200));
    }
}

fn worker() {
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

#[test]
fn a_capture_without_an_answer_counts_as_not_found_unless_the_machine_is_busy() {
    let situation = &Situation::new("x", "x", || ());
    let passes = |found, silent, rigour| {
        let row = Row { captures: 10_000, found, silent, ..Row::default() };
        situation.judge(&row, rigour).is_none()
    };
    assert!(passes(9990, 10, Rigour::Proof) && !passes(9989, 11, Rigour::Proof));
    assert!(passes(9490, 500, Rigour::Loaded) && !passes(9489, 501, Rigour::Loaded) && !passes(9989, 0, Rigour::Loaded));
    let short = |found, silent| situation.judge(&Row { captures: 5, found, silent, ..Row::default() }, Rigour::Short).is_none();
    assert!(short(2, 2) && short(4, 0) && !short(3, 0));
}
