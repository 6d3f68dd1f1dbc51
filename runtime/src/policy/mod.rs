//! What applies to a function now: limits, retry, breaker, escalation.
//!
//! Precedence, lowest first: built-in, `[defaults]`, the attribute, the most specific `[functions]` entry, the environment.
//! `file` reads TOML with positions, `check` judges what it says, `merge` applies the precedence, `active` holds what is in force and swaps
//! it, `watch` reloads, `explain` prints who won. This module must not know of running calls.

mod active;
mod channel;
mod check;
mod environment;
mod explain;
mod fence;
mod file;
mod glob;
mod merge;
mod nearest;
mod origin;
mod problem;
mod rules;
mod set;
mod settings;
#[cfg(test)]
mod tests;
mod watch;
mod watchdog;

pub use channel::{Channel, ChannelKind, WebhookFormat};
pub use explain::{Explanation, Setting, UnknownFunction, explain};
pub use fence::{fence, unfence};
#[cfg(feature = "inject")]
pub(crate) use glob::Pattern;
#[cfg(feature = "inject")]
pub(crate) use nearest::nearest;
pub use origin::{Origin, Set};
pub use problem::{PolicyError, PolicyProblem};
pub use settings::{Breaker, DevicePolicy, Escalation, OnLate, OnTimeout, Policy, RateLimit, Retry, RetryOn, Severity, WarnAt};

#[cfg(feature = "tch")]
pub(crate) use active::device;
#[cfg(feature = "inject")]
pub(crate) use active::injected;
pub(crate) use active::{
    after_each_change, channels, edition, fallbacks_are_on, install, load, of, of_edition, path, stacks_are_on, watchdog,
};
#[cfg(feature = "prometheus")]
pub(crate) use set::PolicySet;
pub(crate) use watch::Watch;
pub use watchdog::{OnRuntimeStall, WatchdogPolicy};
pub(crate) use watchdog::{aborts_on_runtime_stall, runtime_stalled_after};
