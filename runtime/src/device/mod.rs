//! Device fallback: what libtorch's texts mean, and what follows from it.

#[allow(dead_code, reason = "the fallback is built on it")]
pub(crate) mod classify;
