//! A notification as Alertmanager's version 2 interface takes it: a list of alerts.

use serde_json::{Value, json};

use super::Notification;

/// The body of `POST /api/v2/alerts`.
///
/// The labels say which alert it is, so that Alertmanager groups repeats of one function and kind; what differs from one incident
/// to the next stands in the annotations.
pub(super) fn alerts(notification: &Notification) -> Value {
    let incident = &notification.incident;
    json!([{
        "labels": {
            "alertname": "BackstopIncident",
            "job": incident.program.name,
            "function": incident.function,
            "kind": incident.kind.as_str(),
            "severity": incident.severity.as_str(),
        },
        "annotations": {
            "summary": incident.summary(),
            "cause": incident.cause,
            "incident": notification.id().to_string(),
            "repeats": incident.repeats.to_string(),
            "description": notification.text,
        },
        "startsAt": humantime::format_rfc3339_millis(incident.time).to_string(),
    }])
}

#[cfg(test)]
mod tests {
    use super::super::queue::testing::notification;
    use super::*;

    #[test]
    fn an_alert_is_named_by_labels_that_do_not_change_from_incident_to_incident() {
        let (one, two) = (alerts(&notification(1)), alerts(&notification(2)));
        assert_eq!(one[0]["labels"], two[0]["labels"]);
        assert_eq!(one[0]["labels"]["kind"], "limit");
        assert_ne!(one[0]["annotations"]["incident"], two[0]["annotations"]["incident"]);
        assert!(humantime::parse_rfc3339(one[0]["startsAt"].as_str().unwrap()).is_ok());
    }

    #[test]
    fn every_label_and_annotation_is_a_string() {
        let alert = &alerts(&notification(1))[0];
        for part in ["labels", "annotations"] {
            assert!(alert[part].as_object().unwrap().values().all(Value::is_string), "{part}");
        }
    }
}
