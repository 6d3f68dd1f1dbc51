//! What libtorch keeps for each thread: whether gradients are recorded, and autocast.

use std::ffi::c_int;

use crate::device::standing;

/// Whether libtorch sees a CUDA device.
pub(crate) fn has_cuda() -> bool {
    tch::Cuda::is_available()
}

/// Whether this thread records gradients.
#[inline]
pub(crate) fn records_gradients() -> bool {
    let recorded = record_gradients(true);
    if !recorded {
        record_gradients(false);
    }
    recorded
}

/// Switches the recording of gradients on this thread; returns how it was.
#[inline]
pub(crate) fn record_gradients(record: bool) -> bool {
    // SAFETY: the call sets a flag of this thread and returns the one before.
    unsafe { torch_sys::at_grad_set_enabled(c_int::from(record)) != 0 }
}

/// Runs `work` with gradients recorded, whether or not they are around it; `work` must not panic.
pub(crate) fn with_gradients<T>(work: impl FnOnce() -> T) -> T {
    let before = record_gradients(true);
    let done = work();
    record_gradients(before);
    done
}

/// Runs `work` without recording gradients; the flag is as before afterwards, also after a panic.
pub(crate) fn without_gradients<T>(work: impl FnOnce() -> T) -> T {
    let _guard = tch::no_grad_guard();
    work()
}

/// The autocast flags of this thread. Where there is no CUDA, `tch::autocast` is its bare body, and nothing is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Autocast {
    nesting: c_int,
    enabled: bool,
}

impl Autocast {
    /// As they are now.
    #[inline]
    pub(crate) fn now() -> Self {
        if standing::has_autocast() { Self::asked() } else { Self { nesting: 0, enabled: false } }
    }

    #[cold]
    fn asked() -> Self {
        let nesting = nesting();
        // SAFETY: the call reads a flag of this thread. It warns of its own age, so it is only asked inside of `tch::autocast`, which asks too.
        let enabled = nesting > 0 && unsafe { torch_sys::at_autocast_is_enabled() != 0 };
        Self { nesting, enabled }
    }

    /// Puts them back, after a panic has left a `tch::autocast` half-way.
    #[cold]
    pub(crate) fn restore(self) {
        let left = nesting() - self.nesting;
        // SAFETY: both calls change a flag of this thread, and set it to what it was.
        unsafe {
            (0..left).for_each(|_| _ = torch_sys::at_autocast_decrement_nesting());
            if left > 0 {
                torch_sys::at_autocast_set_enabled(c_int::from(self.enabled));
            }
        }
    }
}

/// How many `tch::autocast` this thread is in.
fn nesting() -> c_int {
    // SAFETY: the counter belongs to this thread, and the pair of calls leaves it as it was.
    unsafe {
        torch_sys::at_autocast_increment_nesting();
        torch_sys::at_autocast_decrement_nesting()
    }
}
