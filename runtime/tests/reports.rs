//! From a call that stalls to the people who are told: report files, channels, the metrics page. One process, one `install`.

mod common;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use backstop::policy::Severity;
use backstop::{Backstop, IncidentKind, timeout_async};
use serde_json::Value;

/// Long enough for any machine; nothing here waits that long.
const LONG: Duration = Duration::from_secs(60);

struct Installed {
    backstop: Backstop,
    folder: PathBuf,
}

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("backstop-reports-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let policies = folder.join("policies.toml");
        fs::write(&policies, policies_text(&folder)).unwrap();
        let builder = backstop::Builder::new().policies(policies).reports(folder.join("reports"));
        #[cfg(feature = "prometheus")]
        let builder = builder.prometheus("127.0.0.1:0");
        Installed { backstop: builder.install().unwrap(), folder }
    })
}

fn policies_text(folder: &Path) -> String {
    format!(
        r#"
        [functions."reports.stalls"]
        escalate = [
            {{ after = 1, severity = "warning" }},
            {{ after = 2, severity = "critical", notify = ["pager", "program"] }},
        ]

        [functions."reports.flooded"]
        escalate = [{{ after = 1, severity = "error", notify = ["flood"] }}]

        [channels.flood]
        kind = "file"
        path = '{0}/flood.jsonl'

        [channels.pager]
        kind = "file"
        path = '{0}/pager.jsonl'

        [channels.program]
        kind = "command"
        command = ["/bin/sh", "-c", "cat > '{0}/program.txt'"]
        "#,
        folder.display()
    )
}

#[timeout_async(millis = 50, name = "reports.stalls")]
async fn stalls() -> io::Result<()> {
    std::future::pending().await
}

#[cfg(unix)]
#[tokio::test]
async fn a_stalled_call_is_stored_escalated_and_told() {
    let Installed { backstop, folder } = installed();
    let first = stalls().await.unwrap_err();
    assert!(backstop.flush(LONG));
    let second = stalls().await.unwrap_err();
    assert!(backstop.flush(LONG));

    let incidents: Vec<_> = backstop::incidents().into_iter().filter(|incident| incident.function == "reports.stalls").collect();
    assert_eq!(incidents.iter().map(|incident| incident.severity).collect::<Vec<_>>(), [Severity::Warning, Severity::Critical]);
    for (incident, error) in incidents.iter().zip([first, second]) {
        assert_eq!(incident.kind, IncidentKind::Limit);
        assert!(error.to_string().contains(&format!("incident {}", incident.id)), "{error}");
        let stored = incident.report.as_deref().unwrap();
        assert!(stored.starts_with(folder.join("reports")));
        assert_eq!(fs::read_to_string(stored).unwrap(), incident.to_string());
        let json: Value = serde_json::from_str(&fs::read_to_string(stored.with_extension("json")).unwrap()).unwrap();
        assert_eq!((&json["version"], &json["id"]), (&1.into(), &incident.id.get().into()));
        // The calls of tests that run beside this one may be there too.
        assert!(json["calls"].as_array().unwrap().iter().any(|call| call["function"] == "reports.stalls"));
    }

    let critical = incidents.last().unwrap();
    let lines = fs::read_to_string(folder.join("pager.jsonl")).unwrap();
    // As text: what is read back from a number's digits may be another number in its last bit.
    assert_eq!(lines, format!("{}\n", critical.to_json()), "only the critical one is told");
    assert_eq!(fs::read_to_string(folder.join("program.txt")).unwrap(), critical.to_string());
}

#[timeout_async(millis = 50, name = "reports.scraped")]
async fn scraped() -> io::Result<()> {
    std::future::pending().await
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn the_metrics_page_shows_a_timeout_and_its_incident() {
    use std::io::{Read, Write};

    let Installed { backstop, .. } = installed();
    scraped().await.unwrap_err();
    assert!(backstop.flush(LONG));
    let mut stream = std::net::TcpStream::connect(backstop.metrics_address().unwrap()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    for line in [
        "backstop_calls_total{function=\"reports.scraped\",outcome=\"timeout\"} 1",
        "backstop_calls_total{function=\"reports.scraped\",outcome=\"ok\"} 0",
        "backstop_call_duration_seconds_count{function=\"reports.scraped\"} 1",
        "backstop_incidents_total{function=\"reports.scraped\",kind=\"limit\",severity=\"error\"} 1",
        "backstop_in_flight{function=\"reports.scraped\"} 0",
    ] {
        assert!(page.lines().any(|got| got == line), "{line} is missing in\n{page}");
    }
}

#[timeout_async(millis = 50, name = "reports.flooded")]
async fn flooded() -> io::Result<()> {
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_calls_that_stall_together_are_one_message_and_all_in_the_numbers() {
    let Installed { backstop, folder } = installed();
    let calls: Vec<_> = (0..500).map(|_| tokio::spawn(flooded())).collect();
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    assert!(backstop.flush(LONG));
    let reports: Vec<_> = backstop::incidents().into_iter().filter(|incident| incident.function == "reports.flooded").collect();
    assert_eq!(reports.iter().map(|incident| 1 + incident.repeats).sum::<u64>(), 500);
    let lines = fs::read_to_string(folder.join("flood.jsonl")).unwrap();
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().map(|report| 1 + report["repeats"].as_u64().unwrap()).sum::<u64>(), 500);
    // One, unless the machine takes seconds for the five hundred.
    assert_eq!(told.len(), reports.len());
    assert!(told.len() <= 5, "{} messages", told.len());
    assert_eq!(common::stats("reports.flooded").outcome(backstop::Outcome::Timeout), 500);
}

#[timeout_async(millis = 500, name = "reports.drowned")]
async fn drowned() -> io::Result<()> {
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_the_reporter_has_room_for_stall_together_and_each_has_its_number() {
    const CALLS: usize = 6_000;
    installed();
    let calls: Vec<_> = (0..CALLS).map(|_| tokio::spawn(drowned())).collect();
    let mut numbers = HashSet::new();
    for call in calls {
        let error = call.await.unwrap().unwrap_err().to_string();
        let (_, number) = error.split_once("incident #").unwrap_or_else(|| panic!("it was dropped: {error}"));
        assert!(numbers.insert(number.to_owned()), "{error}");
    }
}

#[timeout_async(secs = 60, name = "reports.panics")]
async fn panics() -> io::Result<()> {
    tokio::task::yield_now().await;
    panic!("on purpose");
}

#[tokio::test]
async fn a_body_that_panics_is_an_incident() {
    let installed = installed();
    assert!(tokio::spawn(panics()).await.unwrap_err().is_panic());
    assert!(installed.backstop.flush(LONG));
    let found: Vec<_> = backstop::incidents().into_iter().filter(|incident| incident.function == "reports.panics").collect();
    assert_eq!(
        found.iter().map(|incident| (incident.kind, incident.severity)).collect::<Vec<_>>(),
        [(IncidentKind::Panicked, Severity::Error)]
    );
}
