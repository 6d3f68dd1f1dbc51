//! Who watches the watchdog? A reporter that is really stuck, in the log of a program that hangs, and a watchdog that is stuck in a program's
//! waker.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake};
use std::thread;
use std::time::{Duration, Instant};

use backstop::{Blame, Incident, IncidentKind, timeout_async};

use crate::child;
use crate::common::log::Reports;
use crate::common::wait_for;

/// Long enough for any machine; nothing here waits that long.
const LONG: Duration = Duration::from_secs(120);

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
    // A log that never comes back from a report.
    tracing::subscriber::set_global_default(Reports(|_: &tracing::Event<'_>| thread::sleep(LONG))).unwrap();
    let folder = folder(std::process::id());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("policies.toml"), policies).unwrap();
    let builder = backstop::Builder::new().policies(folder.join("policies.toml")).reports(folder.join("reports")).dump_on_panic();
    let installed = builder.install().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(waits()).unwrap_err();
    installed
}

/// Waits for the incident about the library's own threads whose cause begins like this; a starved machine may make further ones.
fn late(cause: &str) -> Incident {
    let late = || {
        let mut incidents = backstop::incidents().into_iter();
        incidents.find(|incident| incident.kind == IncidentKind::WatchdogLate && incident.cause.starts_with(cause))
    };
    wait_for(cause, || late().is_some());
    late().unwrap()
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
        let began = Instant::now();
        _ = std::panic::catch_unwind(|| panic!("on purpose"));
        assert!(began.elapsed() < LONG / 4, "a panic waited for its dump for {:?}", began.elapsed());
        assert_eq!(late("the reporter is stuck").verdict.blame, Blame::Code);
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

/// Wakes a task that does not let itself be woken: the executor of a program that hangs.
#[derive(Default)]
struct Hangs {
    enough: AtomicBool,
}

impl Wake for Hangs {
    fn wake(self: Arc<Self>) {
        while !self.enough.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_watchdog_that_is_stuck_is_reported_by_the_reporter_and_does_not_blame_the_host() {
    child::alone(|| {
        let hangs = Arc::<Hangs>::default();
        let mut call = pin!(waits());
        assert!(call.as_mut().poll(&mut Context::from_waker(&Arc::clone(&hangs).into())).is_pending());
        let silent = late("the watchdog's thread does not come round");
        assert!(silent.elapsed >= Duration::from_secs(2) && silent.verdict.blame == Blame::Unknown, "{silent}");
        // What comes within a second of it would share its report.
        thread::sleep(Duration::from_millis(1500));
        hangs.enough.store(true, Ordering::Release);
        assert_eq!(late("the watchdog was busy or blocked itself").verdict.blame, Blame::Code);
        assert!(call.as_mut().poll(&mut Context::from_waker(&hangs.into())).is_ready(), "the deadline decides all the same");
    });
}
