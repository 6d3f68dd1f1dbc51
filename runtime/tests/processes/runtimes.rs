//! Is tokio itself alive? Runtimes whose workers are really blocked, each in a process of its own, with small limits.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use backstop::policy::Severity;
use backstop::{Incident, IncidentKind, timeout_async};
use tokio::runtime::{Builder, Runtime};

use crate::child;
use crate::common::{self, Gate, wait_for};

const SECOND: Duration = Duration::from_secs(1);
/// Long enough for any machine; nothing here waits that long.
const LONG: Duration = Duration::from_secs(60);

fn install() {
    common::install("[watchdog]\nruntime_stalled_after = \"2s\"\n");
}

fn workers(count: usize, name: &str) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).name(name).enable_all().build().unwrap()
}

fn stalls() -> Vec<Incident> {
    backstop::incidents().into_iter().filter(|incident| incident.kind == IncidentKind::RuntimeStalled).collect()
}

#[timeout_async(secs = 300, name = "runtimes.blocks")]
async fn blocks(time: Duration) -> io::Result<()> {
    thread::sleep(time);
    Ok(())
}

static SEEN: Gate = Gate::new();

#[timeout_async(secs = 300, name = "runtimes.is_stuck")]
async fn is_stuck() -> io::Result<()> {
    SEEN.pass();
    Ok(())
}

#[timeout_async(secs = 300, name = "runtimes.waits")]
async fn waits() -> io::Result<()> {
    std::future::pending().await
}

#[test]
fn a_runtime_whose_workers_are_all_blocked_is_reported_with_who_blocks_them_until_it_moves_again() {
    child::alone(|| {
        install();
        let (stuck, other) = (workers(2, "stuck"), workers(1, "other"));
        other.spawn(waits());
        let calls = [stuck.spawn(is_stuck()), stuck.spawn(is_stuck())];
        wait_for("a report", || !stalls().is_empty());
        assert!(calls.iter().all(|call| !call.is_finished()), "reported while it lasts");
        let incident = stalls().remove(0);
        let runtime = &incident.runtimes[0];
        assert_eq!((runtime.name, runtime.workers, runtime.parked, runtime.polls.len()), ("stuck", 2, 0, 2), "{incident}");
        assert!(runtime.polls.iter().all(|poll| poll.function == "runtimes.is_stuck"), "{incident}");
        assert!(incident.runtimes.iter().any(|runtime| runtime.name == "other" && runtime.stalled.is_none()), "{incident}");
        assert!(incident.summary().contains("`stuck`") && incident.cause.contains("`runtimes.is_stuck` on "), "{incident}");
        assert_eq!(incident.severity, Severity::Critical);
        wait_for("the update at twice the time", || stalls()[0].elapsed >= 2 * incident.elapsed);
        SEEN.open();
        wait_for("the end", || stalls()[0].resolved.is_some());
        assert_eq!(stalls().len(), 1, "one report an episode, and of no other runtime");
    });
}

#[test]
fn a_blocked_current_thread_runtime_is_reported() {
    child::alone(|| {
        install();
        let watching = thread::spawn(|| {
            wait_for("a report", || !stalls().is_empty());
            SEEN.open();
        });
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(is_stuck()).unwrap();
        watching.join().unwrap();
        let state = &stalls()[0].runtimes[0];
        assert_eq!((state.flavor, state.polls.len()), ("current_thread", 1));
    });
}

#[test]
fn a_runtime_that_nobody_drives_is_reported_only_if_a_guarded_call_waits_in_it() {
    child::alone(|| {
        install();
        let idle = Builder::new_current_thread().name("idle").enable_all().build().unwrap();
        idle.block_on(blocks(Duration::ZERO)).unwrap();
        let waiting = Builder::new_current_thread().name("waiting").enable_all().build().unwrap();
        thread::scope(|scope| {
            let driver = scope.spawn(|| {
                waiting.block_on(async {
                    tokio::spawn(waits());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                });
                wait_for("a report", || !stalls().is_empty());
            });
            driver.join().unwrap();
        });
        // The other one has rested for as long.
        wait_for("the update at twice the time", || stalls()[0].elapsed >= 4 * SECOND);
        assert_eq!(stalls().iter().map(|incident| incident.runtimes[0].name).collect::<Vec<_>>(), ["waiting"]);
    });
}

#[test]
fn busy_runtimes_and_legal_blocking_raise_no_alarm() {
    child::alone(|| {
        install();
        let end = Instant::now() + 8 * SECOND;
        let busy = workers(1, "busy");
        for _ in 0..4 {
            busy.spawn(async move {
                while Instant::now() < end {
                    blocks(Duration::from_millis(2)).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
        }
        let half = workers(2, "half");
        half.spawn(blocks(8 * SECOND));
        half.spawn(waits());
        let legal = workers(1, "legal");
        legal.spawn(async {
            blocks(Duration::ZERO).await.unwrap();
            tokio::task::block_in_place(|| thread::sleep(8 * SECOND));
        });
        let idle = workers(2, "idle");
        idle.spawn(waits());
        thread::sleep(end.saturating_duration_since(Instant::now()));
        let known = backstop::runtimes();
        assert_eq!(stalls().iter().map(Incident::to_string).collect::<Vec<_>>(), [""; 0]);
        for name in ["busy", "half", "legal", "idle"] {
            assert!(known.iter().any(|runtime| runtime.name == name), "{name} was watched: {known:?}");
        }
    });
}

#[test]
fn a_runtime_that_was_dropped_is_let_go_of() {
    child::alone(|| {
        install();
        let (called, unnamed) = (workers(2, "called"), Builder::new_current_thread().build().unwrap());
        let hook = Arc::new(());
        let held: Weak<()> = Arc::downgrade(&hook);
        let hooked = Builder::new_multi_thread().worker_threads(1).on_thread_start(move || _ = &hook).build().unwrap();
        backstop::watch_runtime("hooked", hooked.handle());
        called.block_on(blocks(Duration::ZERO)).unwrap();
        // A thread looks once a second which runtime it is in: this one has just done so.
        thread::scope(|scope| _ = scope.spawn(|| unnamed.block_on(blocks(Duration::ZERO)).unwrap()));
        let known = || backstop::runtimes().len();
        assert_eq!(known(), 3);
        drop((called, unnamed, hooked));
        wait_for("the watchdog to let go of it", || known() == 0);
        // The reporter lets go of what may run code of the program.
        wait_for("nothing of the runtime to be left", || held.upgrade().is_none());
        assert_eq!(stalls().len(), 0);
    });
}

#[test]
fn where_the_policy_says_so_a_stalled_runtime_ends_the_process_when_its_report_is_written() {
    let folder = |pid: u32| -> PathBuf { std::env::temp_dir().join(format!("backstop-abort-{pid}")) };
    if child::is(&where_the_policy_says_so_a_stalled_runtime_ends_the_process_when_its_report_is_written) {
        let folder = folder(std::process::id());
        fs::create_dir_all(&folder).unwrap();
        let policies = folder.join("policies.toml");
        let told = folder.join("told.jsonl");
        let text = format!(
            "[watchdog]\nruntime_stalled_after = \"2s\"\non_runtime_stall = \"abort\"\n\
             escalate = [ {{ after = 1, severity = \"critical\", notify = [\"file\"] }} ]\n\
             [channels.file]\nkind = \"file\"\npath = '{}'\n",
            told.display()
        );
        fs::write(&policies, text).unwrap();
        let _backstop = backstop::Builder::new().policies(policies).reports(folder.join("reports")).install().unwrap();
        let runtime = workers(1, "dead");
        // Whoever is stuck may hold what the last words need.
        let _held = io::stderr().lock();
        return runtime.block_on(async { _ = tokio::spawn(blocks(LONG)).await });
    }
    let child = child::start(&where_the_policy_says_so_a_stalled_runtime_ends_the_process_when_its_report_is_written);
    let folder = folder(child.id());
    let output = child.wait_with_output().unwrap();
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(6), "{}", child::told(&output));
    let reports: Vec<PathBuf> = fs::read_dir(folder.join("reports")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let json = reports.iter().filter(|path| path.extension().unwrap() == "json");
    let mut parsed = json.map(|path| serde_json::from_str::<serde_json::Value>(&fs::read_to_string(path).unwrap()).unwrap());
    let report = parsed.find(|report| report["kind"] == "runtime_stalled").expect("there is a report");
    assert_eq!((&report["runtimes"][0]["name"], &report["severity"]), (&"dead".into(), &"critical".into()));
    assert_eq!(report["runtimes"][0]["polls"][0]["function"], "runtimes.blocks");
    assert!(fs::read_to_string(folder.join("told.jsonl")).unwrap().contains("runtime_stalled"), "the channel was told first");
    fs::remove_dir_all(folder).unwrap();
}
