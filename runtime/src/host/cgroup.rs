//! The CPU time that a control group allows, and how often its quota was used up: version 2 and version 1 of them, as Linux writes it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::procfs::text;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// A quota and what it has cost since the group was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rationed {
    /// The CPUs that the group may use at a time.
    pub(super) quota: f64,
    /// Periods in which it wanted to run.
    pub(super) periods: u64,
    /// Those of them in which it had used its share up.
    pub(super) throttled_periods: u64,
    /// How long its CPUs were kept from it, added up.
    pub(super) throttled: Duration,
}

/// The smallest quota that this process runs under: of its own group, or of one around that; `None` without any.
pub(super) fn rationed() -> Option<Rationed> {
    let (version, groups) = groups(&text("/proc/self/cgroup")?)?;
    let read = |group: &PathBuf, name: &str| text(group.join(name).to_str()?);
    let quota = |group: &PathBuf| match version {
        Version::Two => quota(&read(group, "cpu.max")?),
        Version::One => quota(&format!("{} {}", read(group, "cpu.cfs_quota_us")?.trim(), read(group, "cpu.cfs_period_us")?)),
    };
    let quotas = groups.iter().filter_map(|group| Some((group, quota(group)?)));
    // Of equal ones the outermost, which others use, too.
    let (group, quota) = quotas.rev().min_by(|(_, one), (_, other)| one.total_cmp(other))?;
    counted(&read(group, "cpu.stat")?, quota)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The folders of the group that this process is in and of those around it, the innermost first. In a container the names that the kernel
/// tells may be those outside: then only the mount itself is there, and is the container's group.
fn groups(cgroup: &str) -> Option<(Version, Vec<PathBuf>)> {
    // `4:cpu,cpuacct:/a/b` of version 1, `0::/a/b` of version 2.
    let lines = || cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let first = lines().find(|(controllers, _)| controllers.split(',').any(|controller| controller == "cpu"));
    let (version, mount, group) = match first {
        Some((controllers, group)) => (Version::One, Path::new(MOUNT).join(controllers), group),
        None => (Version::Two, PathBuf::from(MOUNT), lines().find(|(controllers, _)| controllers.is_empty())?.1),
    };
    let own: PathBuf = mount.components().chain(Path::new(group.trim_start_matches('/')).components()).collect();
    Some((version, own.ancestors().take_while(|folder| folder.starts_with(&mount)).map(Path::to_path_buf).collect()))
}

/// `50000 100000` is half a CPU, `max 100000` and `-1 100000` are no quota.
fn quota(text: &str) -> Option<f64> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (quota, period): (f64, f64) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// `nr_periods 31` and further lines; the time in microseconds (version 2) or nanoseconds (version 1).
fn counted(stat: &str, quota: f64) -> Option<Rationed> {
    let field = |name: &str| -> Option<u64> { stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok() };
    let micros = field("throttled_usec").map(Duration::from_micros);
    let throttled = micros.or_else(|| field("throttled_time").map(Duration::from_nanos))?;
    Some(Rationed { quota, periods: field("nr_periods")?, throttled_periods: field("nr_throttled")?, throttled })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.18, version 1: a loop of three seconds under a fifth of a CPU.
    const ONE: &str = "nr_periods 31\nnr_throttled 30\nthrottled_time 1543484865\nnr_bursts 0\nburst_time 0\n";
    /// Version 2, where the same figures stand among others.
    const TWO: &str = "usage_usec 640012\nuser_usec 603218\nsystem_usec 36794\nnice_usec 0\ncore_sched.force_idle_usec 0\nnr_periods 31\n\
                       nr_throttled 30\nthrottled_usec 1543484\nnr_bursts 0\nburst_usec 0\n";

    #[test]
    fn both_versions_are_read_as_the_kernel_writes_them() {
        let one = counted(ONE, 0.2).unwrap();
        assert_eq!((one.periods, one.throttled_periods, one.throttled), (31, 30, Duration::from_nanos(1_543_484_865)));
        assert_eq!(counted(TWO, 0.2), Some(Rationed { throttled: Duration::from_micros(1_543_484), ..one }));
        assert_eq!(counted("usage_usec 34605647013\nuser_usec 1\nsystem_usec 2\n", 1.0), None, "the outermost group counts nothing");
        assert_eq!(
            ["max 100000\n", "-1 100000\n", "50000 100000\n", "150000 100000", ""].map(quota),
            [None, None, Some(0.5), Some(1.5), None]
        );
    }

    #[test]
    fn a_group_is_looked_for_with_those_around_it() {
        let folders =
            |text| groups(text).map(|(version, folders)| (version, folders.iter().map(|folder| folder.display().to_string()).collect()));
        let two: Vec<String> =
            ["/sys/fs/cgroup/kubepods/pod7/c1", "/sys/fs/cgroup/kubepods/pod7", "/sys/fs/cgroup/kubepods", "/sys/fs/cgroup"]
                .map(str::to_owned)
                .to_vec();
        assert_eq!(folders("0::/kubepods/pod7/c1\n"), Some((Version::Two, two)));
        let one = vec!["/sys/fs/cgroup/cpu,cpuacct/docker".to_owned(), "/sys/fs/cgroup/cpu,cpuacct".to_owned()];
        let hybrid = "9:name=systemd:/x\n3:cpuset:/y\n2:cpu,cpuacct:/docker\n0::/z\n";
        assert_eq!(folders(hybrid), Some((Version::One, one)));
        assert_eq!(folders("0::/\n"), Some((Version::Two, vec!["/sys/fs/cgroup".to_owned()])));
        assert_eq!(folders("3:cpuset:/\n"), None);
    }
}
