//! What the policies in force say about an incident: the one place where reports look at policies.

use std::sync::Arc;

use crate::policy::{self, Channel, Escalation, Origin};
use crate::site::Site;

/// The steps of the function's escalation. Where nobody wrote one, there are none: the kind of the incident says how bad it is.
pub(super) fn escalation(site: &'static Site) -> Vec<Escalation> {
    let escalate = &policy::of(site).escalate;
    if escalate.origin == Origin::BuiltIn { Vec::new() } else { escalate.value.clone() }
}

/// The channels that these names stand for. A policy file that names an unknown one is refused; after a reload a name from
/// before may be gone, and with it the channel.
pub(super) fn channels(names: &[Arc<str>]) -> Vec<Channel> {
    if names.is_empty() {
        return Vec::new();
    }
    policy::channels().iter().filter(|channel| names.contains(&channel.name)).cloned().collect()
}

/// The function's policy as text: every setting, and who set it.
pub(super) fn explain(site: &'static Site) -> Option<String> {
    policy::explain(site.name()).ok().map(|explanation| explanation.to_string())
}
