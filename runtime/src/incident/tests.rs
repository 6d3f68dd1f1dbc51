//! From a finding to its report, through the reporter's thread.

use std::time::Duration;

use serde_json::Value;

use super::testing::{FETCH, finding, incident};
use super::*;
use crate::clock::Tick;
use crate::metrics::tally;
use crate::policy::{Origin, Severity};
use crate::site::{Site, Submitted};

static STALLED: Site = Site::timeout_async("incident_test::stalled").at("src/stalled.rs", 7, 1);
static FLOODED: Site = Site::timeout_async("incident_test::flooded").at("src/flooded.rs", 8, 1);
inventory::submit! { Submitted(&STALLED) }
inventory::submit! { Submitted(&FLOODED) }

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_finding_becomes_an_incident_that_says_what_where_and_why() {
    let origin = Origin::Attribute { file: "src/stalled.rs", line: 7 };
    let found = Finding {
        limit: Some((Duration::from_secs(30), origin)),
        attempt: 2,
        attempts: 4,
        ..Finding::of(IncidentKind::Limit, &STALLED, Tick::now(), Duration::from_millis(30_100))
    };
    let id = reserve();
    open(id, found);
    assert!(flush(LONG));
    let incident = incidents().into_iter().find(|incident| incident.id == id).unwrap();
    assert_eq!((incident.function, incident.severity), ("incident_test::stalled", Severity::Error));
    let text = incident.to_string();
    for part in [
        "`incident_test::stalled` did not finish within 30s",
        "at       src/stalled.rs:7",
        "limit    30s, set by attribute at src/stalled.rs:7",
        "elapsed  30s 100ms, attempt 2 of 4",
        "Running calls",
        "Last events",
        "System",
        "Policy in force",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn five_hundred_findings_of_a_function_are_one_report_and_five_hundred_in_the_metrics() {
    let at = Tick::now();
    let ids: Vec<IncidentId> = (0..500).map(|_| reserve()).collect();
    for id in &ids {
        open(*id, Finding::of(IncidentKind::Idle, &FLOODED, at, Duration::from_secs(60)));
    }
    assert!(flush(LONG));
    let reports: Vec<Incident> = incidents().into_iter().filter(|incident| incident.function == FLOODED.name()).collect();
    let told: u64 = reports.iter().map(|incident| 1 + incident.repeats).sum();
    assert_eq!(told, 500);
    assert!(reports.len() < 50, "{} reports", reports.len());
    let named: usize = reports.iter().map(|incident| 1 + incident.also.len()).sum();
    assert_eq!(named, ids.len());
    assert_eq!(tally::of(&FLOODED).unwrap().incidents(IncidentKind::Idle, Severity::Error), 500);
}

#[test]
fn the_summary_of_every_kind_names_the_function_or_the_process() {
    for kind in IncidentKind::ALL {
        let summary = incident(1, kind).summary();
        assert!(summary.contains(FETCH.name()) || summary.contains("runtime") || summary.contains("watchdog"), "{summary}");
    }
}

#[test]
fn a_report_of_every_kind_keeps_to_the_published_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/reference/incident.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for kind in IncidentKind::ALL {
        let json = incident(1, kind).to_json();
        check(&schema, &json, "report").unwrap();
    }
    let bare = Incident::join(IncidentId(1), Finding::process(IncidentKind::RuntimeStalled, Tick::now(), LONG), Severity::Critical);
    check(&schema, &bare.to_json(), "report").unwrap();
    let mut wrong = incident(1, IncidentKind::Limit).to_json();
    wrong["attempt"] = "two".into();
    assert!(check(&schema, &wrong, "report").is_err());
    let mut wrong = incident(1, IncidentKind::Limit).to_json();
    wrong["calls"][0]["colour"] = "red".into();
    assert!(check(&schema, &wrong, "report").is_err());
    let mut wrong = finding_json();
    wrong.as_object_mut().unwrap().remove("cause");
    assert!(check(&schema, &wrong, "report").is_err());
}

fn finding_json() -> Value {
    Incident::join(IncidentId(1), finding(IncidentKind::Limit), Severity::Error).to_json()
}

/// The keywords of JSON Schema that the published schema uses: `const`, `enum`, `type`, `required`, `properties`,
/// `additionalProperties: false`, `items`.
fn check(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{place}: {what}: {value}"));
    if schema.get("const").is_some_and(|expected| expected != value) {
        return fail("another constant");
    }
    if schema.get("enum").is_some_and(|list| !list.as_array().unwrap().contains(value)) {
        return fail("not in the list");
    }
    if schema.get("type").is_some_and(|kind| !is(kind, value)) {
        return fail("another type");
    }
    if let Some(object) = value.as_object() {
        let properties = schema.get("properties").and_then(Value::as_object);
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if !object.contains_key(name.as_str().unwrap()) {
                return fail(&format!("{name} is missing"));
            }
        }
        for (name, value) in object {
            match properties.and_then(|properties| properties.get(name)) {
                Some(schema) => check(schema, value, &format!("{place}.{name}"))?,
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => return fail(&format!("{name} is unknown")),
                None => {}
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        schema.get("items").map_or(Ok(()), |items| check(items, item, &format!("{place}[{index}]")))?;
    }
    Ok(())
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
        _ => match kind.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("the schema uses the type {other}"),
        },
    }
}
