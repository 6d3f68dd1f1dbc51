//! The bounded queue to the reporter's thread. Posting never waits: what does not fit is dropped and counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::sheets::{self, Sheet};
use super::{DumpReason, Finding, IncidentId, Occasion};
use crate::flight::Record;
use crate::flight::runtime::Runtime;
use crate::metrics::process;
use crate::observe::Line;

const CAPACITY: usize = 4096;

/// Ends that did not fit; 0: none.
static LATE_ENDS: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// How much waits to be received; a little too much while somebody posts.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What the reporter is asked to do.
pub(crate) enum Work {
    /// Report this.
    Finding(IncidentId, Box<Finding>),
    /// Report what is written here, of this place among those that the watchdog waits for.
    Sighting(Occasion, u64, Sheet),
    /// Do this with a runtime: it takes the heap.
    Errand(fn(Arc<Runtime>), Arc<Runtime>),
    /// What was reported is over.
    End(IncidentId),
    /// Put the flight recorder down, and say when that is done.
    Dump(DumpReason, SyncSender<()>),
    /// Free this record, whose owner has left.
    Vacate(&'static Record),
    /// Log this.
    Line(Line),
    /// Complete the reports whose threads were looked at meanwhile.
    Threads,
    /// Say when everything before this is done.
    Flush(SyncSender<()>),
}

struct Inbox {
    sender: SyncSender<Work>,
    /// Taken by the reporter when it starts.
    receiver: Mutex<Option<Receiver<Work>>>,
}

fn inbox() -> &'static Inbox {
    static INBOX: OnceLock<Inbox> = OnceLock::new();
    INBOX.get_or_init(|| {
        let (sender, receiver) = sync_channel(CAPACITY);
        Inbox { sender, receiver: Mutex::new(Some(receiver)) }
    })
}

/// Hands work to the reporter; `false` where the queue was full.
pub(crate) fn post(work: Work) -> bool {
    let what = match work {
        Work::Finding(..) | Work::Sighting(..) | Work::End(_) => "incident",
        Work::Dump(..) => "report",
        Work::Line(_) | Work::Threads | Work::Flush(_) | Work::Errand(..) | Work::Vacate(_) => "log",
    };
    WAITING.fetch_add(1, Relaxed);
    let refused = match inbox().sender.try_send(work) {
        Ok(()) => return true,
        Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) => work,
    };
    received();
    match refused {
        Work::Vacate(record) => {
            record.vacate();
            return false;
        }
        Work::Sighting(_, _, mut sheet) => {
            *sheet = None;
            sheets::give_back(sheet);
        }
        // It must not be forgotten: what lasts would last for ever.
        Work::End(id) if LATE_ENDS.iter().any(|end| end.compare_exchange(0, id.get(), Relaxed, Relaxed).is_ok()) => return true,
        _ => {}
    }
    process::drop_one(what);
    false
}

/// Whether a finding is worth its making: in a storm of them most would find no room. One that would not is counted as dropped.
pub(super) fn has_room() -> bool {
    let room = WAITING.load(Relaxed) < CAPACITY;
    if !room {
        process::drop_one("incident");
    }
    room
}

/// The ends that did not fit. For the reporter, once it has received everything else: what they are the ends of was posted before.
pub(super) fn late_ends() -> impl Iterator<Item = IncidentId> {
    LATE_ENDS.iter().map(|end| end.swap(0, Relaxed)).filter(|id| *id != 0).map(IncidentId)
}

/// Something was taken out.
pub(super) fn received() {
    WAITING.fetch_sub(1, Relaxed);
}

/// The reporter's end; `None` where a reporter has it already.
pub(super) fn take() -> Option<Receiver<Work>> {
    inbox().receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Gives the end back, when no thread could be started.
pub(super) fn put_back(receiver: Receiver<Work>) {
    *inbox().receiver.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiver);
}
