//! What applies to a function now: limits, retry, breaker, escalation.
//!
//! Precedence, lowest first: built-in, `[defaults]`, the attribute, the most specific `[functions]` entry, the environment.
//! `file` reads TOML with positions, `check` judges what it says, `merge` applies the precedence, `active` holds what is in force and swaps
//! it, `watch` reloads, `explain` prints who won. This module must not know of running calls.

mod channel;
mod glob;
mod nearest;
mod origin;
mod rules;
mod settings;

pub use channel::{Channel, ChannelKind, WebhookFormat};
pub use glob::Pattern;
pub use origin::{Origin, Set};
pub use settings::{
    Breaker, DevicePolicy, Escalation, OnLate, OnTimeout, Policy, RateLimit, Retry, RetryOn, Severity, WarnAt,
};
