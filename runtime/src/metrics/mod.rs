//! Counts what happens, and hands the totals to the `metrics` facade.
//!
//! The guarded path touches plain atomics only ([`tally`], [`process`]); once a second [`flush()`] moves their totals to whatever
//! recorder the application has installed. Must not know of policies or running calls: it is told what happened by
//! [`observe`](crate::observe).

pub(crate) mod beat;
mod buckets;
#[cfg(feature = "prometheus")]
pub(crate) mod exporter;
mod flush;
mod groups;
pub(crate) mod names;
pub(crate) mod process;
pub(crate) mod queued;
mod shard;
mod stats;
pub(crate) mod tally;

pub(crate) use flush::flush;
pub use stats::{FunctionStats, stats};

#[cfg(test)]
pub(crate) mod testing;
