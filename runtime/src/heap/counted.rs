//! A heap that counts what each thread takes, and that can be held: then every thread which takes from it waits, as it does when a stuck
//! thread holds the lock of an allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::*};

struct Counting;

#[global_allocator]
static HEAP: Counting = Counting;

static HELD: AtomicBool = AtomicBool::new(false);
thread_local!(static TAKEN: Cell<u64> = const { Cell::new(0) });

fn count() {
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
    while HELD.load(Acquire) {
        std::hint::spin_loop();
    }
}

// SAFETY: every request goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often this thread took from the heap or gave back.
pub(crate) fn taken() -> u64 {
    TAKEN.with(Cell::get)
}

/// Whoever needs the heap from now on waits.
#[cfg_attr(not(native_stacks), expect(dead_code))]
pub(crate) fn hold() {
    HELD.store(true, Release);
}

#[cfg_attr(not(native_stacks), expect(dead_code))]
pub(crate) fn release() {
    HELD.store(false, Release);
}
