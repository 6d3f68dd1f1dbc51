//! A notification as Alertmanager's version 2 interface takes it: a list of alerts.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::Notification;

/// An alert that is not repeated within this time is over: its program has died. It is repeated once a minute while it stands.
const UNREPEATED: Duration = Duration::from_secs(4 * 60);

/// The body of `POST /api/v2/alerts`.
///
/// The labels say which alert it is, so that Alertmanager groups repeats of one function and kind; what differs from one incident
/// to the next stands in the annotations.
pub(super) fn alerts(notification: &Notification, now: SystemTime) -> Value {
    let incident = &notification.incident;
    json!([{
        "labels": {
            "alertname": "BackstopIncident",
            "job": incident.program.name,
            "instance": incident.program.instance(),
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
        "startsAt": time(incident.time),
        "endsAt": time(incident.resolved.unwrap_or(now + UNREPEATED)),
    }])
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::queue::testing::notification;
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn an_alert_is_named_by_labels_that_do_not_change_from_incident_to_incident() {
        let (one, two) = (alerts(&notification(1), NOW), alerts(&notification(2), NOW));
        assert_eq!(one[0]["labels"], two[0]["labels"]);
        assert_eq!(one[0]["labels"]["kind"], "limit");
        assert_ne!(one[0]["annotations"]["incident"], two[0]["annotations"]["incident"]);
        assert!(humantime::parse_rfc3339(one[0]["startsAt"].as_str().unwrap()).is_ok());
    }

    #[test]
    fn an_alert_ends_when_its_incident_is_over_and_soon_where_nobody_repeats_it() {
        let mut notification = (*notification(1)).clone();
        assert_eq!(alerts(&notification, NOW)[0]["endsAt"], "1970-01-01T00:04:00.000Z");
        notification.incident.resolved = Some(NOW + Duration::from_secs(7));
        assert_eq!(alerts(&notification, NOW)[0]["endsAt"], "1970-01-01T00:00:07.000Z");
    }

    #[test]
    fn every_label_and_annotation_is_a_string() {
        let alert = &alerts(&notification(1), NOW)[0];
        for part in ["labels", "annotations"] {
            assert!(alert[part].as_object().unwrap().values().all(Value::is_string), "{part}");
        }
    }
}
