//! What sightings are written on: as many as are set aside for the watchdog, which takes no further ones from the heap.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Sighting;
use crate::heap;

/// So many findings may wait for the reporter.
const SHEETS: usize = 512;

/// One sheet, empty or written on.
pub(crate) type Sheet = Box<Option<Sighting>>;

struct Stock {
    back: SyncSender<Sheet>,
    /// Locked by the watchdog's thread alone.
    empty: Mutex<Receiver<Sheet>>,
}

fn stock() -> &'static Stock {
    static STOCK: OnceLock<Stock> = OnceLock::new();
    STOCK.get_or_init(|| {
        let (back, empty) = sync_channel(SHEETS);
        (0..SHEETS).for_each(|_| _ = back.try_send(Sheet::default()));
        Stock { back, empty: Mutex::new(empty) }
    })
}

/// Sets them aside.
pub(super) fn start() {
    stock();
}

/// An empty one; `None` where the reporter has got too many.
pub(super) fn take() -> Option<Sheet> {
    if !heap::is_renounced() {
        return Some(Sheet::default());
    }
    stock().empty.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
}

/// Gives an empty one back.
pub(super) fn give_back(sheet: Sheet) {
    // One too many was not from here.
    let _ = stock().back.try_send(sheet);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_less_than_a_megabyte() {
        assert!(SHEETS * size_of::<Option<Sighting>>() < 1 << 20, "{} bytes each", size_of::<Option<Sighting>>());
    }
}
