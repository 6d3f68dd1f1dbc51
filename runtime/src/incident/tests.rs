//! From a finding to its report, through the reporter's thread.

use std::time::Duration;

use serde_json::Value;

use super::testing::{FETCH, finding, incident};
use super::*;
use crate::clock::Tick;
use crate::metrics::tally;
use crate::policy::{Origin, Severity};
use crate::site::{Site, Submitted};
use schema::check;

static STALLED: Site = Site::timeout_async("incident_test::stalled").at("src/stalled.rs", 7, 1);
static FLOODED: Site = Site::timeout_async("incident_test::flooded").at("src/flooded.rs", 8, 1);
inventory::submit! { Submitted(&STALLED) }
inventory::submit! { Submitted(&FLOODED) }

#[path = "../../tests/common/schema.rs"]
mod schema;

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
    let schema = schema::incident();
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

#[test]
fn a_dump_keeps_to_its_schema_whose_parts_are_those_of_a_report() {
    let (dump, incident) = (schema::dump(), schema::incident());
    check(&dump, &crate::dump().to_json(), "dump").unwrap();
    for part in ["calls", "runtimes", "threads", "events", "functions", "system", "program"] {
        assert_eq!(dump["properties"][part], incident["properties"][part], "{part}");
    }
}

fn finding_json() -> Value {
    Incident::join(IncidentId(1), finding(IncidentKind::Limit), Severity::Error).to_json()
}
