//! The thread that looks after every running call, from outside every runtime and without a lock of theirs.
//!
//! `judge` decides (pure: what is known and the time → what is due), `sweep` applies it to the whole table, `blocked` knows the polls
//! that do not return, `runtimes` asks whether tokio itself is alive, `rounds` is what is looked at besides the table, `alarm` sleeps without
//! a timer; this file is the thread.

mod alarm;
mod blocked;
mod finding;
mod judge;
mod late;
mod probe;
mod pulse;
mod rounds;
mod runtimes;
pub(crate) mod stack;
mod sweep;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread::{self, Thread};
use std::time::Duration;

pub(crate) use alarm::{Alarm, sleep_until};
pub(crate) use judge::{Expiry, next};
pub use runtimes::watch_runtime;
pub use stack::threads;
pub(crate) use sweep::{expire, panicked};

use crate::clock::Tick;
use crate::event::Event;
use crate::{incident, observe};

/// The longest time between two looks: ten a second at rest.
const TICK: Duration = Duration::from_millis(100);

/// When the watchdog looks next; whoever needs it earlier wakes it.
static PLANNED: AtomicU64 = AtomicU64::new(0);

/// Makes sure that the watchdog runs, and looks no later than at `deadline`.
pub(crate) fn expect(deadline: Tick) {
    if let Some(thread) = thread()
        && deadline.as_nanos() < PLANNED.load(SeqCst)
    {
        thread.unpark();
    }
}

/// The watchdog's thread, started by the first guarded call; `None` where the system gave no thread, which is counted once.
fn thread() -> Option<&'static Thread> {
    static THREAD: OnceLock<Option<Thread>> = OnceLock::new();
    let start = || thread::Builder::new().name("backstop-watchdog".to_owned()).spawn(watch);
    THREAD
        .get_or_init(|| match start() {
            Ok(handle) => Some(handle.thread().clone()),
            Err(_) => {
                observe::event(&Event::Dropped { what: "watchdog" });
                None
            }
        })
        .as_ref()
}

fn watch() {
    // Its log lines, its reports and the reload of policies come from the reporter, also in a program that installs nothing.
    incident::start();
    stack::start();
    let mut episodes = blocked::Episodes::default();
    let mut rounds = rounds::Rounds::default();
    loop {
        let now = Tick::now();
        rounds.look(now);
        // Before the sweep: a call that comes while it runs, behind its back, and is due before the next one, wakes us again.
        let latest = now.after(TICK);
        PLANNED.store(latest.as_nanos(), SeqCst);
        let next = sweep::sweep(&mut episodes, now).min(latest);
        PLANNED.store(next.as_nanos(), SeqCst);
        rounds.rest(next);
        thread::park_timeout(next.since(Tick::now()));
        observe::event(&Event::WatchdogLag { lag: Tick::now().since(next) });
    }
}
