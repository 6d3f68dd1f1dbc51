//! Who watches the watchdog? A reporter that is really stuck, in the log of a program that hangs.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use backstop::{Blame, Incident, IncidentKind, timeout_async};
use tracing::{Metadata, Subscriber, span};

use crate::child;

/// Long enough for any machine; nothing here waits that long.
const LONG: Duration = Duration::from_secs(120);

/// A log that never comes back from a report.
struct Stuck;

impl Subscriber for Stuck {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "backstop::incident"
    }

    fn event(&self, _: &tracing::Event<'_>) {
        thread::sleep(LONG);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[timeout_async(millis = 100, name = "stuck.waits")]
async fn waits() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 300, name = "stuck.blocks")]
async fn blocks() -> io::Result<()> {
    thread::sleep(LONG);
    Ok(())
}

fn folder(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("backstop-stuck-{pid}"))
}

/// Installs `policies`, and has the reporter get stuck.
fn get_stuck(policies: &str) -> backstop::Backstop {
    tracing::subscriber::set_global_default(Stuck).unwrap();
    let folder = folder(std::process::id());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("policies.toml"), policies).unwrap();
    let builder = backstop::Builder::new().policies(folder.join("policies.toml")).reports(folder.join("reports"));
    let installed = builder.install().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(waits()).unwrap_err();
    installed
}

/// The reports of a process that has ended.
fn reports(pid: u32) -> Vec<String> {
    let files = fs::read_dir(folder(pid).join("reports")).unwrap().map(|entry| entry.unwrap().path());
    let reports = files.filter(|path| path.extension().unwrap() == "txt").map(|path| fs::read_to_string(path).unwrap()).collect();
    fs::remove_dir_all(folder(pid)).unwrap();
    reports
}

#[test]
fn a_reporter_that_is_stuck_in_the_log_is_reported_by_somebody_else() {
    if child::is(&a_reporter_that_is_stuck_in_the_log_is_reported_by_somebody_else) {
        let installed = get_stuck("");
        let late = || backstop::incidents().into_iter().find(|incident: &Incident| incident.kind == IncidentKind::WatchdogLate);
        let began = Instant::now();
        while late().is_none() {
            assert!(began.elapsed() < LONG, "nobody reports it");
            thread::sleep(Duration::from_millis(50));
        }
        let late = late().unwrap();
        assert!(late.verdict.blame == Blame::Code && late.to_string().contains("the reporter is stuck"), "{late}");
        assert!(!installed.flush(Duration::from_millis(100)), "it is still stuck");
        std::process::exit(0);
    }
    let child = child::start(&a_reporter_that_is_stuck_in_the_log_is_reported_by_somebody_else);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", child::told(&output));
    let reports = reports(pid);
    assert!(
        reports.iter().any(|report| report.contains("limit") && report.contains("stuck.waits")),
        "the first was written before: {reports:?}"
    );
    assert!(reports.iter().any(|report| report.contains("the reporter is stuck")), "{reports:?}");
    assert!(child::told(&output).contains("backstop: the watchdog"), "a line on standard error: {}", child::told(&output));
}

#[test]
fn a_reporter_that_is_stuck_does_not_keep_a_dead_process_alive() {
    if child::is(&a_reporter_that_is_stuck_does_not_keep_a_dead_process_alive) {
        let _installed = get_stuck("[watchdog]\nruntime_stalled_after = \"1s\"\non_runtime_stall = \"abort\"\n");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).name("dead").build().unwrap();
        return runtime.block_on(async { _ = tokio::spawn(blocks()).await });
    }
    let child = child::start(&a_reporter_that_is_stuck_does_not_keep_a_dead_process_alive);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(6), "{}", child::told(&output));
    assert!(reports(pid).iter().any(|report| report.contains("runtime_stalled") && report.contains("`stuck.blocks` on ")));
}
