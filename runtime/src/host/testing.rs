//! Everything that a host can do to a process, and what is said of it.

use std::time::Duration;

use super::judge::{Stretch, judge};
use super::{Evidence, Verdict, Withheld};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The verdicts on a call of 30 s that has run for 31, each under another host; by name.
pub(crate) fn verdicts() -> Vec<(&'static str, Verdict)> {
    let quiet = || Evidence { window: s(30), on_cpu: Some(s(0)), waited: Some(s(0)), ..Evidence::default() };
    let starved = || Evidence { on_cpu: Some(s(2)), waited: Some(s(28)), own: Some(8.0), ..quiet() };
    let quota = Withheld { quota: Some(0.5), periods: 300, throttled_periods: 280, ..Withheld::default() };
    let stolen = Withheld { stolen: Some(60.0), ..Withheld::default() };
    let hosts = [
        ("the host slept", Evidence { suspended: s(600), ..quiet() }),
        ("the process was stopped", Evidence { stopped: s(20), ..quiet() }),
        ("the watchdog was starved", Evidence { late: s(20), ..quiet() }),
        ("the thread was starved", starved()),
        ("the group was throttled", Evidence { withheld: quota, ..starved() }),
        ("the machine was robbed", Evidence { on_cpu: Some(s(29)), withheld: stolen, ..quiet() }),
        ("the program starved itself", Evidence { own: Some(95.0), ..starved() }),
        ("the program used its quota up", Evidence { own: Some(99.0), withheld: quota, ..starved() }),
        ("a debugger was there", Evidence { debugger: Some(77), ..quiet() }),
        ("nothing happened", quiet()),
        ("nothing is known", Evidence::default()),
    ];
    let stretch = Stretch { elapsed: s(31), limit: Some(s(30)) };
    let verdict = |evidence| {
        let (blame, because) = judge(stretch, &evidence);
        Verdict { blame, because, evidence }
    };
    hosts.map(|(name, evidence)| (name, verdict(evidence))).to_vec()
}
