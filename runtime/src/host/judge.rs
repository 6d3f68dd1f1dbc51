//! Code or host: pure.

use std::time::Duration;

use super::{Blame, Evidence};
use crate::spell::spell;

/// What the host takes in less than this is noise, and excuses nobody.
pub(super) const NOISE: Duration = Duration::from_millis(500);
/// A program that has this much of its CPUs, in percent, starves itself.
pub(super) const GREEDY: f64 = 50.0;
/// A host that slept for less than this did not sleep.
pub(super) const NAP: Duration = Duration::from_secs(1);

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// How long it lasted, by the clock.
    pub(super) elapsed: Duration,
    /// What it was allowed; `None` where nothing was.
    pub(super) limit: Option<Duration>,
}

/// Who is to blame, and why.
///
/// The process did not run at all: the host's fault, if without that time the limit would not have passed. Its thread wanted a CPU and had none for
/// half of the time or more: the host's fault, for a call whose limit is at least twice its usual time would have ended; unless it was this
/// program that had the CPUs.
pub(super) fn judge(stretch: Stretch, evidence: &Evidence) -> (Blame, String) {
    let Evidence { window, on_cpu, waited, own, stopped, late, suspended, debugger, .. } = *evidence;
    let half = |lost: Duration, of: Duration| lost * 2 >= of && lost > Duration::ZERO;
    if let Some(pid) = debugger {
        return (Blame::Debugger, format!("process {pid}, a debugger or a program like it, is attached"));
    }
    if suspended >= NAP {
        return (Blame::Host, format!("the host slept for {} meanwhile", spell(suspended)));
    }
    let spared = stretch.elapsed.saturating_sub(stopped);
    if stopped > Duration::ZERO && stretch.limit.map_or(half(stopped, stretch.elapsed), |limit| spared < limit) {
        let reason = "stopped, frozen, paused with its machine, or at a breakpoint";
        return (Blame::Host, format!("the process did not run for {} of that time: {reason}", spell(stopped)));
    }
    let own = own.filter(|own| *own >= GREEDY);
    if half(late, stretch.elapsed) && own.is_none() {
        return (Blame::Host, format!("the watchdog itself waited for a CPU for {} of that time", spell(late)));
    }
    match (on_cpu, waited) {
        (Some(on_cpu), Some(waited)) => {
            let spent = format!("was on a CPU for {} and waited for one for {}", spell(on_cpu), spell(waited));
            let because = format!("of the last {} its thread {spent}", spell(window));
            match own {
                Some(own) if half(waited, window) => {
                    (Blame::Code, format!("{because}, while this program itself had {own:.0} % of the CPUs"))
                }
                None if half(waited, window) => (Blame::Host, because),
                _ => (Blame::Code, because),
            }
        }
        _ if cfg!(target_os = "linux") => (Blame::Unknown, "its thread is not known".to_owned()),
        _ => (Blame::Unknown, "not available on this platform".to_owned()),
    }
}

/// Whether a finding with this verdict is held back: nothing is wrong with the code, and it is no matter of moments.
pub(super) fn holds_back(blame: Blame, evidence: &Evidence) -> bool {
    let Evidence { waited, stopped, late, suspended, .. } = evidence;
    match blame {
        Blame::Debugger => true,
        Blame::Host => *suspended >= NAP || waited.unwrap_or_default().max(*stopped).max(*late) >= NOISE,
        Blame::Code | Blame::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A call of 30 s whose thread slept.
    fn quiet() -> Evidence {
        Evidence { window: s(30), on_cpu: Some(s(0)), waited: Some(s(0)), ..Evidence::default() }
    }

    fn blame(elapsed: u64, limit: u64, evidence: &Evidence) -> Blame {
        judge(Stretch { elapsed: s(elapsed), limit: Some(s(limit)) }, evidence).0
    }

    fn held(elapsed: u64, limit: u64, evidence: &Evidence) -> bool {
        holds_back(blame(elapsed, limit, evidence), evidence)
    }

    #[test]
    fn a_call_that_waits_on_a_quiet_host_is_the_codes_fault() {
        assert_eq!(blame(30, 30, &quiet()), Blame::Code);
        assert!(!held(30, 30, &quiet()));
    }

    #[test]
    fn a_laptop_that_slept_excuses_what_went_on_meanwhile() {
        let slept = Evidence { suspended: s(47 * 60), ..quiet() };
        assert_eq!(blame(30, 30, &slept), Blame::Host);
        assert!(held(30, 30, &slept));
        assert_eq!(blame(30, 30, &Evidence { suspended: Duration::from_millis(20), ..quiet() }), Blame::Code);
    }

    #[test]
    fn a_stopped_process_excuses_only_what_would_have_ended_in_time() {
        let stopped = Evidence { stopped: s(10), ..quiet() };
        assert!(held(35, 30, &stopped), "it has run for 25 of its 30 s");
        assert!(!held(40, 30, &stopped), "it has run for its 30 s besides");
        assert!(held(3600, 30, &Evidence { stopped: s(3590), ..quiet() }));
    }

    #[test]
    fn a_starved_thread_is_the_hosts_fault_from_half_of_the_time_on() {
        let starved = |waited| Evidence { on_cpu: Some(s(2)), waited: Some(s(waited)), ..quiet() };
        assert!(held(30, 30, &starved(15)) && held(30, 30, &starved(28)));
        assert!(!held(30, 30, &starved(14)));
        assert_eq!(blame(30, 30, &Evidence { on_cpu: Some(s(30)), ..quiet() }), Blame::Code, "it spins");
    }

    #[test]
    fn a_program_that_has_the_cpus_itself_starves_itself() {
        let starved = |own| Evidence { on_cpu: Some(s(2)), waited: Some(s(28)), own: Some(own), ..quiet() };
        assert_eq!((blame(30, 30, &starved(95.0)), blame(30, 30, &starved(8.0))), (Blame::Code, Blame::Host));
        assert!(!held(30, 30, &Evidence { late: s(20), ..starved(95.0) }));
    }

    #[test]
    fn a_starved_watchdog_is_evidence_too() {
        assert_eq!(blame(30, 30, &Evidence { late: s(16), ..quiet() }), Blame::Host);
        assert_eq!(blame(30, 30, &Evidence { late: s(3), ..quiet() }), Blame::Code);
    }

    #[test]
    fn moments_are_told_but_hold_nothing_back() {
        let ms = Duration::from_millis;
        let brief = Evidence { window: ms(200), on_cpu: Some(ms(10)), waited: Some(ms(190)), ..Evidence::default() };
        let (blame, _) = judge(Stretch { elapsed: ms(200), limit: Some(ms(200)) }, &brief);
        assert_eq!((blame, holds_back(blame, &brief)), (Blame::Host, false));
    }

    #[test]
    fn a_debugger_holds_everything_back_and_nothing_known_holds_nothing_back() {
        assert!(held(30, 30, &Evidence { debugger: Some(7), ..quiet() }));
        assert_eq!(blame(30, 30, &Evidence::default()), Blame::Unknown);
        assert!(!held(30, 30, &Evidence::default()));
    }
}
