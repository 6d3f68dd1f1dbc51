//! The CPU time that a control group allows, and how often its quota was used up: version 2 and version 1 of them, as Linux writes it.

use std::time::Duration;

use super::procfs::{PIECE, beginning};
use crate::text::Text;

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
    let mut piece = [0; 2 * PIECE];
    let (version, own) = own(beginning("/proc/self/cgroup", &mut piece)?)?;
    let quotas = own.and_around().filter_map(|group| Some((group, group.quota(version)?)));
    // Of equal ones the outermost, which others use, too.
    let (group, quota) = quotas.reduce(|least, around| if around.1 <= least.1 { around } else { least })?;
    counted(beginning(group.file("cpu.stat").as_str(), &mut [0; PIECE])?, quota)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A control group: where it is mounted below [`MOUNT`], and its folder there.
#[derive(Clone, Copy, Debug)]
struct Group<'a> {
    mount: &'a str,
    folder: &'a str,
}

/// The group that this process is in. In a container the names that the kernel tells may be those outside: then only the mount itself is
/// there, and is the container's group.
fn own(cgroup: &str) -> Option<(Version, Group<'_>)> {
    // `4:cpu,cpuacct:/a/b` of version 1, `0::/a/b` of version 2.
    let lines = || cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let first = lines().find(|(controllers, _)| controllers.split(',').any(|controller| controller == "cpu"));
    let (version, (mount, folder)) = match first {
        Some(group) => (Version::One, group),
        None => (Version::Two, lines().find(|(controllers, _)| controllers.is_empty())?),
    };
    Some((version, Group { mount, folder: folder.trim_matches('/') }))
}

impl<'a> Group<'a> {
    /// This group and those around it, the innermost first.
    fn and_around(self) -> impl Iterator<Item = Self> {
        let around = |folder: &&'a str| (!folder.is_empty()).then(|| folder.rsplit_once('/').map_or("", |(around, _)| around));
        std::iter::successors(Some(self.folder), around).map(move |folder| Self { folder, ..self })
    }

    fn file(&self, name: &str) -> Text<1024> {
        let Self { mount, folder } = self;
        let slash = |part: &str| if part.is_empty() { "" } else { "/" };
        Text::of(format_args!("{MOUNT}{}{mount}{}{folder}/{name}", slash(mount), slash(folder)))
    }

    fn quota(&self, version: Version) -> Option<f64> {
        let (mut one, mut other) = ([0; PIECE], [0; PIECE]);
        match version {
            Version::Two => quota(beginning(self.file("cpu.max").as_str(), &mut one)?.split_whitespace()),
            Version::One => {
                let quota_us = beginning(self.file("cpu.cfs_quota_us").as_str(), &mut one)?;
                let period_us = beginning(self.file("cpu.cfs_period_us").as_str(), &mut other)?;
                quota([quota_us.trim(), period_us.trim()].into_iter())
            }
        }
    }
}

/// `50000 100000` is half a CPU, `max 100000` and `-1 100000` are no quota.
fn quota<'a>(mut numbers: impl Iterator<Item = &'a str>) -> Option<f64> {
    let (quota, period): (f64, f64) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
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
            ["max 100000\n", "-1 100000\n", "50000 100000\n", "150000 100000", ""].map(|text| quota(text.split_whitespace())),
            [None, None, Some(0.5), Some(1.5), None]
        );
    }

    #[test]
    fn a_group_is_looked_for_with_those_around_it() {
        let folders = |text| {
            let (version, own) = own(text)?;
            Some((version, own.and_around().map(|group| group.file("x").as_str().to_owned()).collect::<Vec<_>>()))
        };
        let two = ["/kubepods/pod7/c1", "/kubepods/pod7", "/kubepods", ""].map(|folder| format!("/sys/fs/cgroup{folder}/x"));
        assert_eq!(folders("0::/kubepods/pod7/c1\n"), Some((Version::Two, two.to_vec())));
        let one = ["/docker", ""].map(|folder| format!("/sys/fs/cgroup/cpu,cpuacct{folder}/x"));
        let hybrid = "9:name=systemd:/x\n3:cpuset:/y\n2:cpu,cpuacct:/docker\n0::/z\n";
        assert_eq!(folders(hybrid), Some((Version::One, one.to_vec())));
        assert_eq!(folders("0::/\n"), Some((Version::Two, vec!["/sys/fs/cgroup/x".to_owned()])));
        assert_eq!(folders("3:cpuset:/\n"), None);
    }
}
