//! Makes guarded calls fail on purpose, to prove what stands around them.
//!
//! Faults come from three places, the first that has one for a call wins: the [`scope()`] that the call runs in, the environment variable
//! `BACKSTOP_INJECT`, and the `[[inject]]` tables of the policy file. Every injected fault is an event, so that no report is mistaken for
//! real trouble.
//!
//! The guard asks `before` once for each attempt, innermost of all its layers, and runs what it gets.

mod fault;
mod grammar;
mod plan;
mod rule;
mod scope;

pub use fault::{Fault, InjectedError};
pub(crate) use plan::Plan;
pub use rule::{InvalidRule, Rule};
pub(crate) use scope::Taken;
pub use scope::{Scope, scope};

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::event::Event;
use crate::observe;
use crate::policy;
use crate::site::Site;

/// Whether a scope was ever entered, or rules of the environment or of a file were ever in force.
static EXPECTED: AtomicBool = AtomicBool::new(false);

/// Whether a fault may come. Once it may, that stays so.
#[inline]
pub(crate) fn expected() -> bool {
    EXPECTED.load(Relaxed)
}

fn expect() {
    EXPECTED.store(true, Relaxed);
}

/// The fault that this call of `site` is to suffer, if any.
pub(crate) fn before(site: &'static Site) -> Option<Fault> {
    let fault = scope::draw(site).or_else(|| policy::injected(site))?;
    observe::event(&Event::Injected { site, fault: fault.name() });
    Some(fault)
}
