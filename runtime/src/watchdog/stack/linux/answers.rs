//! Empty answers that are set aside for the watchdog, which takes nothing from the heap when it asks.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::heap;
use crate::incident::Awaited;

/// So many are there when nobody has asked for a while.
const ANSWERS: usize = 64;

struct Stock {
    new: SyncSender<Arc<Awaited>>,
    /// Locked by the watchdog's thread alone.
    empty: Mutex<Receiver<Arc<Awaited>>>,
}

fn stock() -> &'static Stock {
    static STOCK: OnceLock<Stock> = OnceLock::new();
    STOCK.get_or_init(|| {
        let (new, empty) = sync_channel(ANSWERS);
        Stock { new, empty: Mutex::new(empty) }
    })
}

/// Sets aside as many as there is room for.
pub(super) fn fill() {
    while stock().new.try_send(Arc::default()).is_ok() {}
}

/// One of them; `None` where they are used up for the moment.
pub(super) fn take() -> Option<Arc<Awaited>> {
    if !heap::is_renounced() {
        return Some(Arc::default());
    }
    stock().empty.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
}

/// Gives one back that nobody fills.
pub(super) fn give_back(answer: Arc<Awaited>) {
    let _ = stock().new.try_send(answer);
}
