//! Dumps that nobody asks for by a call: on a signal, on a panic, at the end of the program. The reporter makes them.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::sync::{Once, OnceLock};
use std::thread;
use std::time::Duration;

use tracing::{info, warn};

use super::inbox::{self, Work};
use super::{Dump, DumpReason, store};
use crate::clock::Tick;
use crate::metrics::process;

/// A panic waits for its dump no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);
/// Panics that come closer than this share a dump: a program that catches panics all day is not to be slowed down by them.
const APART: Duration = Duration::from_secs(10);

/// Has the reporter make a dump, and waits for it; `false` when `timeout` came first.
pub(crate) fn demand(reason: DumpReason, timeout: Duration) -> bool {
    super::start();
    let (done, wait) = sync_channel(1);
    inbox::post(Work::Dump(reason, done)) && wait.recv_timeout(timeout).is_ok()
}

/// Makes a dump whenever a thread panics from now on, after the hook that is set now.
pub(crate) fn on_panic() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            before(panic);
            let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
            panicked(place);
        }));
    });
}

fn panicked(place: String) {
    static LAST: OnceLock<AtomicU64> = OnceLock::new();
    let now = Tick::now();
    let last = LAST.get_or_init(|| AtomicU64::new(0));
    let before = last.load(Relaxed);
    let due = before == 0 || now.since(Tick::from_nanos(before)) >= APART;
    // The reporter cannot wait for itself; its panics are counted.
    let ours = thread::current().name().is_some_and(|name| name.starts_with("backstop-"));
    if due && !ours && last.compare_exchange(before, now.as_nanos(), Relaxed, Relaxed).is_ok() {
        demand(DumpReason::Panic(place), PATIENCE);
    }
}

/// Makes a dump, on the reporter's thread: into the folder for reports, or without one into the log.
pub(super) fn make(reason: DumpReason) {
    let dump = Dump::make(reason);
    let reason = dump.reason.to_string();
    let Some(folder) = store::folder() else {
        info!(target: "backstop::incident", reason, "dump\n{dump}");
        return;
    };
    match dump.write_to(&folder) {
        Ok(path) => info!(target: "backstop::incident", reason, report = %path.display(), "dump"),
        Err(error) => {
            process::drop_one("report");
            warn!(target: "backstop::incident", reason, folder = %folder.display(), error = %error, "dump not written");
        }
    }
}

#[cfg(unix)]
pub(crate) use signal::on_signal;
pub(super) use signal::signalled;

#[cfg(unix)]
mod signal {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::{Arc, LazyLock, Mutex, PoisonError};

    use signal_hook::consts::FORBIDDEN;
    use signal_hook::flag;

    /// The signal that came; 0 for none. All that the signal's handler does is to store here.
    static CAME: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

    /// Makes a dump whenever this signal comes from now on; what the program has set for it goes on being called.
    pub(crate) fn on_signal(signal: i32) -> io::Result<()> {
        static REGISTERED: Mutex<Vec<i32>> = Mutex::new(Vec::new());
        let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
        if registered.contains(&signal) {
            return Ok(());
        }
        let number = usize::try_from(signal).ok().filter(|_| !FORBIDDEN.contains(&signal));
        let number = number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this signal cannot be asked for"))?;
        flag::register_usize(signal, Arc::clone(&CAME), number)?;
        registered.push(signal);
        Ok(())
    }

    /// The signal that came since the last look.
    pub(in crate::incident) fn signalled() -> Option<i32> {
        i32::try_from(CAME.swap(0, Relaxed)).ok().filter(|signal| *signal != 0)
    }
}

#[cfg(not(unix))]
mod signal {
    /// No signals here.
    pub(in crate::incident) fn signalled() -> Option<i32> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_nobody_can_handle_is_refused() {
        for signal in [9, 19, -1] {
            assert_eq!(on_signal(signal).unwrap_err().kind(), std::io::ErrorKind::InvalidInput, "{signal}");
        }
    }

    #[test]
    fn without_a_folder_a_dump_goes_to_the_log_and_is_done() {
        assert!(demand(DumpReason::Asked, Duration::from_secs(60)));
    }
}
