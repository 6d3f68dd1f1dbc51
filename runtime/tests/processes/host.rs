//! Code or host? A process that is really stopped or traced raises no false alarm; a real one is told apart. Each runs in a process
//! of its own.

use std::io;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use backstop::{Blame, Incident, IncidentKind, Outcome, timeout_async};

use crate::child::{self, READY, started, succeeds};
use crate::common::{alarms, ended, held_back, stats, wait_for};

const SECOND: Duration = Duration::from_secs(1);

fn incidents(kind: IncidentKind) -> Vec<Incident> {
    backstop::incidents().into_iter().filter(|incident| incident.kind == kind).collect()
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[timeout_async(millis = 3000, name = "host.waits")]
async fn waits() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(idle_millis = 3000, name = "host.is_silent")]
async fn is_silent() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 300, name = "host.computes")]
async fn computes(time: Duration) -> io::Result<()> {
    thread::sleep(time);
    Ok(())
}

#[test]
fn a_process_that_was_stopped_raises_no_false_alarm_and_says_that_it_was() {
    if child::is(&a_process_that_was_stopped_raises_no_false_alarm_and_says_that_it_was) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let calls = [runtime.spawn(waits()), runtime.spawn(is_silent())];
        let stopped = AtomicBool::new(false);
        thread::scope(|scope| {
            // One poll after the other: the stop falls into one of them.
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    runtime.block_on(computes(Duration::from_millis(50))).unwrap();
                }
            });
            wait_for("the calls to run", || ["host.waits", "host.is_silent"].iter().all(|name| stats(name).in_flight == 1));
            eprintln!("{READY}");
            wait_for("the calls to end", || calls.iter().all(|call| call.is_finished()));
            stopped.store(true, Ordering::Relaxed);
        });
        wait_for("an incident", || !incidents(IncidentKind::WatchdogLate).is_empty());
        wait_for("two verdicts", || ["host.waits", "host.is_silent"].iter().all(|name| held_back(name) == 1));
        assert_eq!(alarms(), [""; 0], "the calls have had a moment of their three seconds");
        assert_eq!(
            (ended("host.waits", Outcome::Timeout), ended("host.is_silent", Outcome::Idle)),
            (1, 1),
            "the deadline decides all the same"
        );
        let late = incidents(IncidentKind::WatchdogLate).remove(0);
        assert_eq!((late.verdict.blame, late.elapsed > 4 * SECOND), (Blame::Host, true), "{late}");
        assert!(late.verdict.evidence.stopped > 4 * SECOND && late.to_string().contains("did not run"), "{late}");
        // A call that hangs all by itself is told from it.
        runtime.block_on(waits()).unwrap_err();
        wait_for("a report", || !incidents(IncidentKind::Limit).is_empty());
        let real = incidents(IncidentKind::Limit).remove(0);
        assert_eq!((real.verdict.blame, real.to_json()["verdict"]["blame"].as_str()), (Blame::Code, Some("code")), "{real}");
        return;
    }
    let child = started(&a_process_that_was_stopped_raises_no_false_alarm_and_says_that_it_was);
    signal(&child, "-STOP");
    thread::sleep(6 * SECOND);
    signal(&child, "-CONT");
    succeeds(child);
}

#[test]
fn under_a_debugger_findings_are_held_back_and_after_it_they_are_not() {
    if child::is(&under_a_debugger_findings_are_held_back_and_after_it_they_are_not) {
        eprintln!("{READY}");
        let traced = || !std::fs::read_to_string("/proc/self/status").unwrap().contains("TracerPid:\t0\n");
        wait_for("a debugger", traced);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let _blocks = tokio::spawn(computes(2 * SECOND));
            waits().await.unwrap_err();
        });
        assert!(traced());
        wait_for("two verdicts", || ["host.waits", "host.computes"].iter().all(|name| held_back(name) > 0));
        assert_eq!(alarms(), [""; 0]);
        println!("held back");
        wait_for("its end", || !traced());
        runtime.block_on(waits()).unwrap_err();
        wait_for("a report", || incidents(IncidentKind::Limit).len() == 1);
        return;
    }
    let mut child = started(&under_a_debugger_findings_are_held_back_and_after_it_they_are_not);
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let debugger = thread::spawn(move || {
        // SAFETY: it traces our own child, without stopping it, and touches none of our memory.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) };
        assert_eq!(seized, 0, "{}", io::Error::last_os_error());
        let mut said = io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while io::BufRead::read_line(&mut said, &mut line).unwrap() > 0 && !line.contains("held back") {}
        thread::spawn(move || io::copy(&mut said, &mut io::stdout()));
        child
        // The end of the thread that traces is the end of the tracing.
    });
    succeeds(debugger.join().unwrap());
}
