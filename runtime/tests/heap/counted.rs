//! A heap that counts what each thread takes from it or gives back, and that can be held: whoever needs it then waits for ever, as where a
//! thread is stuck with an allocator's lock.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::time::Duration;

struct Counted;

#[global_allocator]
static HEAP: Counted = Counted;

static HELD: AtomicBool = AtomicBool::new(false);

/// Threads of which each is counted for itself.
const THREADS: usize = 512;
static TIDS: [AtomicUsize; THREADS] = [const { AtomicUsize::new(0) }; THREADS];
static TAKEN: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
static NEXT: AtomicUsize = AtomicUsize::new(0);
thread_local!(static PLACE: Cell<usize> = const { Cell::new(usize::MAX) });

fn place() -> usize {
    let Ok(place) = PLACE.try_with(Cell::get) else { return THREADS };
    if place != usize::MAX {
        return place;
    }
    let place = NEXT.fetch_add(1, Relaxed);
    PLACE.set(place);
    if let Some(tid) = TIDS.get(place) {
        // SAFETY: it asks for a number.
        tid.store(unsafe { libc::syscall(libc::SYS_gettid) } as usize, Release);
    }
    place
}

fn count() {
    if let Some(taken) = TAKEN.get(place()) {
        taken.fetch_add(1, Relaxed);
    }
    while HELD.load(Acquire) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

// SAFETY: every request goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Whoever needs the heap from now on waits, for ever.
pub fn hold() {
    HELD.store(true, Release);
}

/// How often the thread with this number of the kernel took from the heap or gave back.
pub fn taken_by(tid: usize) -> u64 {
    let place = TIDS.iter().position(|known| known.load(Acquire) == tid);
    place.map_or(0, |place| TAKEN[place].load(Relaxed))
}
