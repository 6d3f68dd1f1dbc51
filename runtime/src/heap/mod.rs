//! Which thread takes nothing from the heap. The watchdog looks while a stuck thread may hold the heap's lock: from the moment that it has set
//! everything aside on, it does with that.

#[cfg(test)]
pub(crate) mod counted;

use std::cell::Cell;

thread_local!(static RENOUNCED: Cell<bool> = const { Cell::new(false) });

/// This thread takes nothing from the heap from now on.
pub(crate) fn renounce() {
    RENOUNCED.set(true);
}

/// Whether this thread must do with what was set aside.
pub(crate) fn is_renounced() -> bool {
    RENOUNCED.get()
}
