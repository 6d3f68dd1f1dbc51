//! The stuck threads: `asleep`, `running`, and `odd` ones, whose stacks are hard to read.

mod asleep;
mod odd;
mod running;

use std::sync::atomic::Ordering::*;
use std::thread;

pub(super) use asleep::sleep_and_tell;

use super::situation::Situation;
use super::{INTERRUPTED, TID};

/// All of them.
pub(super) const ALL: [Situation; 34] = [
    Situation::new("sleep", "asleep::sleeping", || spawn(asleep::sleeping)),
    Situation::new("nanosleep", "asleep::napping", || spawn(asleep::napping)),
    Situation::new("mutex (futex)", "asleep::locking", || spawn(asleep::locking)),
    Situation::new("rwlock", "asleep::reading_a_lock", || spawn(asleep::reading_a_lock)),
    Situation::new("condvar with a time limit", "asleep::awaiting_a_condition", || spawn(asleep::awaiting_a_condition)),
    Situation::new("channel", "asleep::receiving", || spawn(asleep::receiving)),
    Situation::new("join", "asleep::joining", || spawn(asleep::joining)),
    Situation::new("read", "asleep::reading", || spawn(asleep::reading)),
    Situation::new("write to a full pipe", "asleep::writing", || spawn(asleep::writing)),
    Situation::new("poll", "asleep::polling", || spawn(asleep::polling)),
    Situation::new("epoll", "asleep::waiting_for_events", || spawn(asleep::waiting_for_events)),
    Situation::new("accept", "asleep::accepting", || spawn(asleep::accepting)),
    Situation::new("waitpid", "asleep::waiting_for_a_child", || spawn(asleep::waiting_for_a_child)),
    Situation::new("spin", "running::spinning", || spawn(running::spinning)),
    Situation::new("malloc", "running::allocating", || spawn(running::allocating)),
    Situation::new("malloc, four threads", "running::allocating", || (0..4).for_each(|_| spawn(running::allocating))),
    Situation { holds_heap: true, ..Situation::new("holding the heap's lock", "running::allocating", || spawn(running::allocating)) },
    Situation::new("mmap and munmap", "running::mapping", || spawn(running::mapping)),
    Situation::new("memcpy", "running::copying", || spawn(running::copying)),
    Situation::new("clock (vdso)", "running::asking_the_time", || spawn(running::asking_the_time)),
    Situation::new("dlopen", "running::loading", || spawn(running::loading)),
    Situation::new("dl_iterate_phdr", "running::iterating", || spawn(running::iterating)),
    Situation::new("inside dl_iterate_phdr", "running::holding_the_loader", || spawn(running::holding_the_loader)),
    Situation { share: 990, ..Situation::new("panicking", "odd::panicking", || spawn(odd::panicking)) },
    Situation::new("backtraces", "running::tracing", || spawn(running::tracing)),
    Situation::new("deep stack (300 KiB)", "odd::start_of_deep", || spawn(odd::start_of_deep)),
    Situation::new("very deep stack (3000 frames)", "odd::start_of_very_deep", || spawn(odd::start_of_very_deep)),
    Situation::new("no unwind tables", "odd::without_tables", || spawn(odd::without_tables)),
    Situation::new("in a signal handler", "odd::handled", || spawn(odd::handled)),
    Situation::new("in a handler on its own stack", "odd::handled_elsewhere", || spawn(odd::handled_elsewhere)),
    Situation { refuses: true, ..Situation::new("signals blocked, running", "", || spawn(|| odd::blocking(running::spinning))) },
    Situation::new("signals blocked, asleep", "asleep::sleeping", || spawn(|| odd::blocking(asleep::sleeping))),
    Situation::new("tokio worker", "asleep::sleeping", asleep::worker),
    Situation::new("short sleeps", "asleep::blinking", || spawn(asleep::blinking)),
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
