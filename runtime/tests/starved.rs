//! A process that gets hardly any CPU. In a program of its own: it would starve the tests beside it.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]
#![cfg(target_os = "linux")]

#[path = "processes/child.rs"]
mod child;
mod common;

use std::hint::black_box;
use std::io;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use backstop::timeout_async;
use child::{READY, started, succeeds};
use common::alarms;

const SECOND: Duration = Duration::from_secs(1);

/// Processes that want the same CPU as the test.
struct Load(Vec<Child>);

impl Load {
    fn on_cpu(cpu: &str, processes: usize) -> Self {
        let spin = || Command::new("taskset").args(["-c", cpu, "sh", "-c", "while :; do :; done"]).stdout(Stdio::null()).spawn().unwrap();
        Self((0..processes).map(|_| spin()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Half a second of work, in small pieces, within four seconds.
#[timeout_async(secs = 4, name = "starved.works")]
async fn works() -> io::Result<()> {
    let work = SECOND / 2;
    let cpu = || -> Duration {
        let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
    };
    let began = cpu();
    while cpu() - began < work {
        black_box((0..10_000_u64).map(|x| x.wrapping_mul(x)).sum::<u64>());
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[test]
fn a_machine_at_load_twenty_raises_no_false_alarm() {
    if child::is(&a_machine_at_load_twenty_raises_no_false_alarm) {
        let pinned = Command::new("taskset").args(["-a", "-p", "-c", "0", &std::process::id().to_string()]).stdout(Stdio::null()).status();
        assert!(pinned.unwrap().success());
        eprintln!("{READY}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let timed_out = (0..2).filter(|_| runtime.block_on(works()).is_err()).count();
        assert!(timed_out > 0, "twenty others leave the call a twentieth of its CPU");
        thread::sleep(SECOND);
        assert_eq!(alarms(), [""; 0]);
        return;
    }
    let _load = Load::on_cpu("0", 20);
    succeeds(started(&a_machine_at_load_twenty_raises_no_false_alarm));
}
