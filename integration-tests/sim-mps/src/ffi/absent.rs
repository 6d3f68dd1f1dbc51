//! Where there is no simulated device: nothing can be ordered, because nobody gets the orders.

use crate::{Counts, Unavailable};

pub(crate) fn load() -> Result<(), Unavailable> {
    Err(Unavailable)
}

pub(crate) fn knows(_name: &str) -> bool {
    false
}

pub(crate) fn unimplemented(_name: &str) {}

pub(crate) fn out_of_memory_after(_bytes: u64) {}

pub(crate) fn fail_at(_k: u64, _text: &str) {}

pub(crate) fn fail_every(_n: u64, _text: &str) {}

pub(crate) fn reset() {}

pub(crate) fn counts() -> Counts {
    Counts::default()
}
