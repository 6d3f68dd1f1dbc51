//! A process that gets hardly any CPU. In a program of its own: it would starve the tests beside it.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]
#![cfg(target_os = "linux")]

#[path = "processes/child.rs"]
mod child;
mod common;

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use backstop::timeout_async;
use child::{READY, started, succeeds};
use common::{alarms, held_back, wait_for};

const SECOND: Duration = Duration::from_secs(1);

/// Processes that want the same CPU as the test, or the same quota.
struct Load(Vec<Child>);

impl Load {
    fn on_cpu(cpu: &str, processes: usize) -> Self {
        Self::of(processes, &["taskset", "-c", cpu, "sh", "-c", "while :; do :; done"])
    }

    fn of(processes: usize, spin: &[&str]) -> Self {
        let spin = || Command::new(spin[0]).args(&spin[1..]).stdout(Stdio::null()).spawn().unwrap();
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
        wait_for("a verdict on each", || held_back("starved.works") == timed_out);
        assert_eq!(alarms(), [""; 0]);
        return;
    }
    let _load = Load::on_cpu("0", 20);
    succeeds(started(&a_machine_at_load_twenty_raises_no_false_alarm));
}

/// A control group with a fifth of a CPU.
struct Group(PathBuf);

/// Whoever runs this, with the group's list of members, is one of them.
const JOIN: &str = "echo $$ > \"$0\"";

impl Group {
    /// `None` where this process may not make one that takes members: mostly that takes root.
    fn of_a_fifth() -> Option<Self> {
        let versions = [("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "20000"), ("/sys/fs/cgroup", "cpu.max", "20000 100000")];
        versions.into_iter().find_map(|(mount, file, quota)| {
            let mount = Path::new(mount);
            let group = mount.join("cgroup.procs").exists().then(|| mount.join(format!("backstop-test-{}", std::process::id())))?;
            fs::create_dir(&group).ok()?;
            let group = Self(group);
            fs::write(group.0.join(file), quota).ok()?;
            let joined = Command::new("sh").args(["-c", JOIN]).arg(group.members()).stderr(Stdio::null()).status();
            joined.is_ok_and(|status| status.success()).then_some(group)
        })
    }

    fn members(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Those who were in it may take a moment to end.
        wait_for("an empty group", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn a_quota_that_others_used_up_raises_no_false_alarm_and_is_named() {
    if child::is(&a_quota_that_others_used_up_raises_no_false_alarm_and_is_named) {
        eprintln!("{READY}");
        wait_for("a group", || fs::read_to_string("/proc/self/cgroup").unwrap().contains("backstop-test-"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(works()).unwrap_err();
        wait_for("a verdict", || held_back("starved.works") == 1);
        assert_eq!(alarms(), [""; 0]);
        let withheld = backstop::dump().system.withheld.unwrap();
        assert_eq!(withheld.quota, Some(0.2), "{withheld:?}");
        assert!(withheld.throttled_periods * 2 >= withheld.periods && withheld.throttled > SECOND, "{withheld:?}");
        return;
    }
    let Some(group) = Group::of_a_fifth() else { return eprintln!("not tested: no control group can be made here") };
    // Two would leave this program between a quarter and half of the quota, as they happen to share the CPUs: and from half on it is to blame
    // itself. Eight leave it a seventh.
    let _load = Load::of(8, &["sh", "-c", &format!("{JOIN}; while :; do :; done"), group.members().to_str().unwrap()]);
    let child = started(&a_quota_that_others_used_up_raises_no_false_alarm_and_is_named);
    fs::write(group.members(), child.id().to_string()).unwrap();
    succeeds(child);
}
