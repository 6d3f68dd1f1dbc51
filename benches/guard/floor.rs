//! What no guard can be cheaper than that has a thread of its own find what is due: a thread that wakes a hundred thousand tasks, and nothing
//! else. No table, no limit, no count.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use crate::deadlines::CALLS;
use crate::variants::Answer;

/// One for each task.
static SLOTS: [Slot; CALLS] = [const { Slot { waker: Mutex::new(None), fired: AtomicBool::new(false) } }; CALLS];
static TAKEN: AtomicUsize = AtomicUsize::new(0);

struct Slot {
    waker: Mutex<Option<Waker>>,
    fired: AtomicBool,
}

/// Waits until it is woken by [`wake`].
pub async fn woken() -> Answer {
    let mut slot = None;
    poll_fn(|cx| {
        let slot: &Slot = slot.get_or_insert_with(|| &SLOTS[TAKEN.fetch_add(1, SeqCst) % CALLS]);
        if slot.fired.load(SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        *slot.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

/// Wakes all of them, who wait.
pub fn wake() {
    for slot in &SLOTS {
        slot.fired.store(true, SeqCst);
        if let Some(waker) = slot.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}

/// Makes them ready for as many others.
pub fn reset() {
    SLOTS.iter().for_each(|slot| slot.fired.store(false, SeqCst));
}
