//! What the policies in force say about an incident: the one place where reports look at policies.

use std::sync::Arc;

use crate::policy::{self, Channel, Escalation, OnRuntimeStall, Origin};
use crate::site::Site;

/// The steps of the function's escalation, or of the process as a whole. Where nobody wrote one, there are none: the kind of the incident
/// says how bad it is.
pub(super) fn escalation(site: Option<&'static Site>) -> Vec<Escalation> {
    let escalate = site.map_or_else(|| policy::watchdog().escalate.clone(), |site| policy::of(site).escalate.clone());
    if escalate.origin == Origin::BuiltIn { Vec::new() } else { escalate.value }
}

/// Whether a stalled runtime ends the process.
pub(super) fn aborts_on_runtime_stall() -> bool {
    policy::watchdog().on_runtime_stall.value == OnRuntimeStall::Abort
}

/// The channels that these names stand for. A policy file that names an unknown one is refused; after a reload a name from
/// before may be gone, and with it the channel.
pub(super) fn channels(names: &[Arc<str>]) -> Vec<Channel> {
    if names.is_empty() {
        return Vec::new();
    }
    policy::channels().iter().filter(|channel| names.contains(&channel.name)).cloned().collect()
}

/// The policy of the function, or of the process as a whole, as text: every setting, and who set it.
pub(super) fn explain(site: Option<&'static Site>) -> Option<String> {
    policy::explain(site.map_or("[watchdog]", |site| site.name())).ok().map(|explanation| explanation.to_string())
}
