//! The thread that looks after every running call, from outside every runtime and without a lock of theirs.
//!
//! `judge` decides (pure: what is known and the time → what is due), `sweep` applies it to the whole table, `blocked` knows the polls
//! that do not return, `orphans` the work that has outlived its caller, `runtimes` asks whether tokio itself is alive, `rounds` is what is
//! looked at besides the table, `alarm` sleeps without a timer, `pace` knows when to rest; this file is the thread.

mod alarm;
mod blocked;
mod bounded;
mod finding;
mod found;
mod judge;
mod late;
mod orphans;
mod pace;
mod pulse;
mod rolls;
mod rounds;
mod runtimes;
pub(crate) mod stack;
mod sweep;
mod unrecorded;

use std::sync::OnceLock;
use std::thread;

pub(crate) use alarm::{Alarm, sleep_until};
pub(crate) use judge::{Expiry, expiry, next};
pub use runtimes::watch_runtime;
pub use stack::threads;
pub(crate) use sweep::{came_back, expire, panicked};

use crate::clock::Tick;
use crate::event::Event;
use crate::{coarse, flight, heap, host, incident, observe};
use pace::Pace;
use rounds::Rounds;
use sweep::Sweep;

/// Makes sure that the watchdog runs. Where the system gives no thread, that is counted once.
#[inline]
pub(crate) fn start() {
    static STARTED: OnceLock<()> = OnceLock::new();
    if STARTED.get().is_none() {
        STARTED.get_or_init(spawn);
    }
}

#[cold]
fn spawn() {
    match thread::Builder::new().name("backstop-watchdog".to_owned()).spawn(watch) {
        Ok(handle) => coarse::kept_by(handle.thread().clone()),
        Err(_) => observe::event(&Event::Dropped { what: "watchdog" }),
    }
}

fn watch() {
    // Its log lines, its reports and the reload of policies come from the reporter, also in a program that installs nothing.
    incident::prepare();
    stack::start();
    host::start();
    finding::start();
    observe::start();
    let mut sweep = Sweep::new();
    let mut rounds = Rounds::new();
    let mut pace = Pace::default();
    // From here on a stuck thread may hold the heap's lock.
    heap::renounce();
    loop {
        let now = Tick::now();
        // Before the sweep: a call that comes while it runs, behind its back, and is due before the next one, wakes us again.
        let longest = if sweep.is_calm() { rounds.longest().min(flight::shortest()) } else { pace::REST };
        let latest = now.after(pace.keep(now, longest));
        coarse::plan(latest);
        rounds.begin(now);
        let next = sweep.look(now).min(latest);
        coarse::plan(next);
        // After it: what is due waits for nothing else.
        rounds.look(now);
        rounds.rest(next);
        thread::park_timeout(next.since(Tick::now()));
        observe::event(&Event::WatchdogLag { lag: Tick::now().since(next) });
    }
}
