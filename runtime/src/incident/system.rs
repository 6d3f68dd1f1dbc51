//! The state of the host and of this process, read from procfs by hand. Elsewhere every value is missing, and the report says so.

use std::fs;
use std::time::Duration;

use crate::clock::Tick;
use crate::host::{self, Withheld};

/// The host and this process at the time of an incident. A value is `None` where the platform does not give it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SystemState {
    /// The CPUs that this process may use.
    pub cpus: Option<usize>,
    /// The CPUs of the host, which its load is to be compared with.
    pub host_cpus: Option<usize>,
    /// The load average over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// The host's memory in bytes.
    pub memory_total: Option<u64>,
    /// What of it can still be given out, in bytes.
    pub memory_available: Option<u64>,
    /// The memory of this process in bytes.
    pub memory_resident: Option<u64>,
    /// The share of the last 10 seconds in which something waited for a resource.
    pub pressure: Vec<Pressure>,
    /// The files that this process has open.
    pub open_files: Option<u64>,
    /// How many it may open.
    pub open_files_limit: Option<u64>,
    /// The threads of this process.
    pub threads: Option<u64>,
    /// The CPU time of this process.
    pub cpu_time: Option<Duration>,
    /// The CPU time that it was not given while that lasted which is reported; in a dump, in the last minute.
    pub withheld: Option<Withheld>,
}

/// How much the host's tasks wait for one resource, in percent of the last 10 seconds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pressure {
    /// `cpu`, `memory` or `io`.
    pub resource: &'static str,
    /// At least one task waited.
    pub some: f64,
    /// All tasks waited; the kernel does not give it for every resource.
    pub full: Option<f64>,
}

impl SystemState {
    /// Reads the state now, and what was withheld from `since` on. Takes well under a millisecond; nothing here waits for the application.
    pub(super) fn read(since: Tick) -> Self {
        let mut state = Self { cpus: host::read_cpus(), ..Self::default() };
        if cfg!(target_os = "linux") {
            state.read_host();
            state.read_process();
            host::read_withheld(Tick::now());
            state.withheld = Some(host::withheld(since));
        }
        state
    }

    fn read_host(&mut self) {
        self.host_cpus = text("/sys/devices/system/cpu/online").and_then(|text| listed(&text));
        self.load = text("/proc/loadavg").and_then(|text| load(&text));
        let memory = text("/proc/meminfo").unwrap_or_default();
        self.memory_total = kibibytes(&memory, "MemTotal:");
        self.memory_available = kibibytes(&memory, "MemAvailable:");
        let read = |resource| text(&format!("/proc/pressure/{resource}")).and_then(|text| pressure(resource, &text));
        self.pressure = ["cpu", "memory", "io"].into_iter().filter_map(read).collect();
    }

    fn read_process(&mut self) {
        let status = text("/proc/self/status").unwrap_or_default();
        self.memory_resident = kibibytes(&status, "VmRSS:");
        self.threads = field(&status, "Threads:").and_then(|value| value.parse().ok());
        self.open_files = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
        self.open_files_limit = text("/proc/self/limits").and_then(|text| open_files_limit(&text));
        self.cpu_time = host::cpu_time().map(|time| Duration::new(time.as_secs(), time.subsec_millis() * 1_000_000));
    }

    /// What about the host makes every program slow, in words; `None` on a healthy one.
    pub(super) fn starved(&self) -> Option<String> {
        if let (Some([load, ..]), Some(cpus)) = (self.load, self.host_cpus.or(self.cpus))
            && load > 4.0 * f64::from(u32::try_from(cpus).unwrap_or(u32::MAX))
        {
            return Some(format!("load {load:.1} on {cpus} CPUs"));
        }
        if let (Some(available), Some(total)) = (self.memory_available, self.memory_total)
            && available < total / 50
        {
            return Some("less than 2 % of the memory is left".to_owned());
        }
        let worst = self.pressure.iter().find(|pressure| pressure.full.unwrap_or(0.0) > 40.0)?;
        Some(format!("everything waited for {} in {:.0} % of the last 10 s", worst.resource, worst.full.unwrap_or(0.0)))
    }
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// `0.52 0.58 0.59 1/467 12345`
fn load(text: &str) -> Option<[f64; 3]> {
    let mut numbers = text.split(' ').map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?])
}

/// How many numbers are in a list like `0-3,8`.
fn listed(text: &str) -> Option<usize> {
    let count = |range: &str| -> Option<usize> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    text.trim().split(',').map(count).sum()
}

/// The first word after `name` at the start of a line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

/// `MemAvailable:   12345 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// `some avg10=0.00 avg60=…` and, on the next line, the same for `full`.
fn pressure(resource: &'static str, text: &str) -> Option<Pressure> {
    let average = |kind: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
    };
    Some(Pressure { resource, some: average("some ")?, full: average("full ") })
}

/// `Max open files            1024                 524288               files`
fn open_files_limit(text: &str) -> Option<u64> {
    field(text, "Max open files")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_is_read_as_the_kernel_writes_it() {
        assert_eq!(load("0.52 0.58 10.59 1/467 12345\n"), Some([0.52, 0.58, 10.59]));
        assert_eq!(["0-1\n", "0\n", "0-3,8-11,16\n", "\n", "3-1"].map(listed), [Some(2), Some(1), Some(9), None, None]);
        let meminfo = "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(kibibytes(meminfo, "MemAvailable:"), Some(8192 * 1024));
        let psi = "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(pressure("io", psi), Some(Pressure { resource: "io", some: 12.5, full: Some(3.0) }));
        let limits = "Limit Soft Hard Units\nMax open files            1024                 524288               files\n";
        assert_eq!(open_files_limit(limits), Some(1024));
    }

    #[test]
    fn what_is_not_there_is_missing_and_not_zero() {
        assert_eq!(load(""), None);
        assert_eq!(kibibytes("", "VmRSS:"), None);
        assert_eq!(pressure("cpu", "nothing"), None);
        assert_eq!(open_files_limit("Max open files   unlimited unlimited files"), None);
    }

    #[test]
    fn a_starved_host_is_told_from_a_healthy_one() {
        let healthy = SystemState { cpus: Some(2), load: Some([3.0, 1.0, 1.0]), ..SystemState::default() };
        assert_eq!(healthy.starved(), None);
        let loaded = SystemState { load: Some([20.0, 9.0, 5.0]), ..healthy.clone() };
        assert_eq!(loaded.starved().as_deref(), Some("load 20.0 on 2 CPUs"));
        assert_eq!(SystemState { host_cpus: Some(64), ..loaded }.starved(), None, "of many CPUs this process may use two");
        let full = SystemState { memory_total: Some(1000), memory_available: Some(10), ..healthy };
        assert!(full.starved().is_some());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_state() {
        let state = SystemState::read(Tick::now());
        assert!(state.threads.unwrap() >= 1);
        assert!(state.memory_resident.unwrap() > 100_000);
        assert!(state.open_files.unwrap() >= 3);
        assert!(state.withheld.is_some() && state.host_cpus >= Some(1));
    }
}
