//! What a channel is sent: rendered once, whatever the number of channels.

use std::sync::Arc;

use crate::incident::Incident;

/// One incident, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) incident: Incident,
    /// The report for a person; of what is over, the first lines of it.
    pub(crate) text: String,
    /// The report for machines, in one line.
    pub(crate) json: String,
}

impl Notification {
    pub(crate) fn of(incident: &Incident) -> Arc<Self> {
        let text = if incident.resolved.is_some() { incident.brief() } else { incident.to_string() };
        Arc::new(Self { incident: incident.clone(), text, json: incident.to_json().to_string() })
    }

    /// `firing`, or `resolved` when it is over.
    pub(crate) fn state(&self) -> &'static str {
        if self.incident.resolved.is_some() { "resolved" } else { "firing" }
    }

    /// The incident's number.
    pub(crate) fn id(&self) -> u64 {
        self.incident.id.get()
    }
}
