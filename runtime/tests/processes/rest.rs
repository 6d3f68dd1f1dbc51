//! What watching costs while nothing happens: from the kernel's own figures of the two threads.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use backstop::timeout_async;

use crate::child;

/// How long is measured.
const MEASURED: Duration = Duration::from_secs(10);

#[timeout_async(secs = 300, name = "rest.waits")]
async fn waits() -> io::Result<()> {
    std::future::pending().await
}

/// The thread whose name begins like this.
fn task(name: &str) -> PathBuf {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|comm| name.starts_with(comm.trim()));
    tasks.into_iter().find(named).unwrap_or_else(|| panic!("there is no thread {name}"))
}

/// How often a thread went to sleep, and how long it was on a CPU.
fn figures(task: &std::path::Path) -> (u32, Duration) {
    let status = fs::read_to_string(task.join("status")).unwrap();
    let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    let times = fs::read_to_string(task.join("schedstat")).unwrap();
    (sleeps.trim().parse().unwrap(), Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap()))
}

#[test]
fn at_rest_the_watchdog_wakes_about_once_a_second_and_costs_next_to_nothing() {
    child::alone(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        for _ in 0..16 {
            runtime.spawn(waits());
        }
        thread::sleep(Duration::from_secs(2));
        let tasks = ["backstop-watchdog", "backstop-reporter"].map(task);
        let (began, before) = (Instant::now(), tasks.each_ref().map(|task| figures(task)));
        thread::sleep(MEASURED);
        let after = tasks.each_ref().map(|task| figures(task));
        let seconds = began.elapsed().as_secs_f64();
        for (name, (before, after)) in ["watchdog", "reporter"].iter().zip(before.into_iter().zip(after)) {
            let (wakes, percent) = (f64::from(after.0 - before.0) / seconds, 100.0 * (after.1 - before.1).as_secs_f64() / seconds);
            println!("{name}: {wakes:.1} wakes a second, {percent:.3} % of a core");
            // The watchdog once a second, the reporter twice; reading a file may be a sleep, too.
            assert!(wakes <= 4.0, "the {name} wakes {wakes:.1} times a second");
            // Without optimisation it costs several times what it does in a release.
            let most = if cfg!(debug_assertions) { 0.5 } else { 0.1 };
            assert!(percent < most, "the {name} costs {percent} % of a core");
        }
    });
}
