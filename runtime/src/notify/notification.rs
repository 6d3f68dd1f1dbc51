//! What a channel is sent: rendered once, whatever the number of channels.

use std::sync::Arc;

use crate::incident::Incident;

/// One incident, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) incident: Incident,
    /// The report for a person.
    pub(crate) text: String,
    /// The report for machines, in one line.
    pub(crate) json: String,
}

impl Notification {
    pub(crate) fn of(incident: &Incident) -> Arc<Self> {
        Arc::new(Self { incident: incident.clone(), text: incident.to_string(), json: incident.to_json().to_string() })
    }

    /// The incident's number.
    pub(crate) fn id(&self) -> u64 {
        self.incident.id.get()
    }
}
