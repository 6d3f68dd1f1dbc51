//! What stands in the way of a device call that goes as most go, in this process: one word, so that such a call reads one.

use std::sync::atomic::{AtomicU32, Ordering};

static STANDING: AtomicU32 = AtomicU32::new(NOT_READY);

/// The panic hook has no filter yet, and nobody has asked for CUDA.
const NOT_READY: u32 = 1;
/// There is CUDA, with which `tch::autocast` means something.
const AUTOCAST: u32 = 2;
/// The device is lost.
const LOST: u32 = 4;
/// One function that remembers failures.
const FUNCTION: u32 = 8;

/// Whether this is the first attempt in the process.
#[inline]
pub(super) fn is_first() -> bool {
    has(NOT_READY)
}

/// No attempt from now on is the first.
pub(super) fn ready(autocast: bool) {
    if autocast {
        STANDING.fetch_or(AUTOCAST, Ordering::AcqRel);
    }
    STANDING.fetch_and(!NOT_READY, Ordering::AcqRel);
}

/// Whether the device is lost, or some function remembers failures.
#[inline]
pub(super) fn is_unusual() -> bool {
    STANDING.load(Ordering::Acquire) >= LOST
}

#[inline]
pub(super) fn has_autocast() -> bool {
    has(AUTOCAST)
}

pub(super) fn lost() {
    STANDING.fetch_or(LOST, Ordering::AcqRel);
}

#[inline]
pub(super) fn is_lost() -> bool {
    has(LOST)
}

/// A function begins to remember failures, or ends it.
pub(super) fn remembers(remembers: bool) {
    if remembers {
        STANDING.fetch_add(FUNCTION, Ordering::AcqRel);
    } else {
        STANDING.fetch_sub(FUNCTION, Ordering::AcqRel);
    }
}

/// Whether some function remembers failures: mostly none does, and then nothing needs to be looked up.
#[inline]
pub(super) fn is_remembering() -> bool {
    STANDING.load(Ordering::Acquire) >= FUNCTION
}

#[inline]
fn has(flag: u32) -> bool {
    STANDING.load(Ordering::Acquire) & flag != 0
}
