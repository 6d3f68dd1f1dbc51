//! The channel kind `log`: the whole report as one `tracing` event.

use tracing::{error, info, warn};

use super::Notification;
use super::sink::Sink;
use crate::policy::Severity;

pub(super) struct Log;

impl Sink for Log {
    fn deliver(&mut self, notification: &Notification) -> Result<(), String> {
        let Notification { incident, text, .. } = notification;
        let (id, kind, function, repeats) = (notification.id(), incident.kind.as_str(), incident.function, incident.repeats);
        let state = notification.state();
        match incident.severity {
            _ if incident.resolved.is_some() => {
                info!(target: "backstop::incident", incident = id, kind, function, repeats, state, "{text}")
            }
            Severity::Info => info!(target: "backstop::incident", incident = id, kind, function, repeats, state, "{text}"),
            Severity::Warning => warn!(target: "backstop::incident", incident = id, kind, function, repeats, state, "{text}"),
            Severity::Error | Severity::Critical => {
                error!(target: "backstop::incident", incident = id, kind, function, repeats, state, "{text}");
            }
        }
        Ok(())
    }
}
