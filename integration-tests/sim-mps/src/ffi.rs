//! The only place that calls the C++ library. Every function here is safe: the library guards its state by a mutex, keeps no pointer that it
//! is given, and lets no exception out (all of them are `noexcept`).

use std::ffi::{CString, c_char};

use crate::{Counts, Unavailable};

unsafe extern "C" {
    fn sim_mps_load();
    fn sim_mps_knows(name: *const c_char) -> bool;
    fn sim_mps_unimplemented(name: *const c_char);
    fn sim_mps_out_of_memory_after(bytes: u64);
    fn sim_mps_fail_at(k: u64, text: *const c_char);
    fn sim_mps_fail_every(n: u64, text: *const c_char);
    fn sim_mps_reset();
    fn sim_mps_read_counts(out: *mut Counts);
}

pub(crate) fn load() -> Result<(), Unavailable> {
    // SAFETY: takes nothing and does nothing: its address keeps the static registrations in the binary.
    unsafe { sim_mps_load() }
    Ok(())
}

pub(crate) fn knows(name: &str) -> bool {
    let name = c_string(name);
    // SAFETY: the string lives until the call returns, and is only read.
    unsafe { sim_mps_knows(name.as_ptr()) }
}

pub(crate) fn unimplemented(name: &str) {
    let name = c_string(name);
    // SAFETY: the string lives until the call returns, which copies it.
    unsafe { sim_mps_unimplemented(name.as_ptr()) }
}

pub(crate) fn out_of_memory_after(bytes: u64) {
    // SAFETY: takes a number only.
    unsafe { sim_mps_out_of_memory_after(bytes) }
}

pub(crate) fn fail_at(k: u64, text: &str) {
    let text = c_string(text);
    // SAFETY: the string lives until the call returns, which copies it.
    unsafe { sim_mps_fail_at(k, text.as_ptr()) }
}

pub(crate) fn fail_every(n: u64, text: &str) {
    let text = c_string(text);
    // SAFETY: the string lives until the call returns, which copies it; `n` is not 0 (checked by the caller), so nothing divides by it.
    unsafe { sim_mps_fail_every(n, text.as_ptr()) }
}

pub(crate) fn reset() {
    // SAFETY: takes nothing.
    unsafe { sim_mps_reset() }
}

pub(crate) fn counts() -> Counts {
    let mut counts = Counts::default();
    // SAFETY: `Counts` is `repr(C)` with the fields of the C struct in their order; the call writes exactly one of them.
    unsafe { sim_mps_read_counts(&raw mut counts) }
    counts
}

/// Texts end at a NUL: C++ would end them there too.
fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}
