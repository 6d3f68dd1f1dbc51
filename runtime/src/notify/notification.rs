//! What a channel is sent: rendered once, whatever the number of channels.

use std::sync::Arc;
use std::time::SystemTime;

use crate::incident::Incident;
use crate::policy::Severity;

/// One incident, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) id: u64,
    pub(crate) kind: &'static str,
    pub(crate) severity: Severity,
    /// Empty for the process as a whole.
    pub(crate) function: &'static str,
    pub(crate) summary: String,
    pub(crate) cause: String,
    pub(crate) time: SystemTime,
    /// Further incidents that this one stands for.
    pub(crate) repeats: u64,
    /// The program's name.
    pub(crate) program: String,
    /// The report for a person.
    pub(crate) text: String,
    /// The report for machines, in one line.
    pub(crate) json: String,
}

impl Notification {
    pub(crate) fn of(incident: &Incident) -> Arc<Self> {
        Arc::new(Self {
            id: incident.id.get(),
            kind: incident.kind.as_str(),
            severity: incident.severity,
            function: incident.function,
            summary: incident.summary(),
            cause: incident.cause.clone(),
            time: incident.time,
            repeats: incident.repeats,
            program: incident.program.name.clone(),
            text: incident.to_string(),
            json: incident.to_json().to_string(),
        })
    }
}
