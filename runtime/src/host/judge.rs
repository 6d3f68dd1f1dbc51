//! Code or host: pure.

use std::time::Duration;

use super::{Blame, Evidence, Withheld};
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
/// program that had the CPUs. What the machine under this one stole is the host's fault in any case.
pub(super) fn judge(stretch: Stretch, evidence: &Evidence) -> (Blame, String) {
    let ground = ground(stretch, evidence);
    (ground.blame(), ground.words(evidence))
}

/// What a verdict stands on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ground {
    Debugger(u32),
    Slept,
    Stopped,
    WatchdogStarved,
    /// How the thread spent its time.
    Thread(Blame),
    Nothing,
}

/// The first that holds. Without a word, which would take the heap.
pub(super) fn ground(stretch: Stretch, evidence: &Evidence) -> Ground {
    let Evidence { window, on_cpu, waited, stopped, late, suspended, debugger, .. } = *evidence;
    if let Some(pid) = debugger {
        return Ground::Debugger(pid);
    }
    if suspended >= NAP {
        return Ground::Slept;
    }
    let spared = stretch.elapsed.saturating_sub(stopped);
    if stopped > Duration::ZERO && stretch.limit.map_or(half(stopped, stretch.elapsed), |limit| spared < limit) {
        return Ground::Stopped;
    }
    if half(late, stretch.elapsed) && !is_greedy(evidence) {
        return Ground::WatchdogStarved;
    }
    let (Some(_), Some(waited)) = (on_cpu, waited) else { return Ground::Nothing };
    let lost = stolen(evidence) + if is_greedy(evidence) { Duration::ZERO } else { waited };
    Ground::Thread(if half(lost, window) { Blame::Host } else { Blame::Code })
}

impl Ground {
    pub(super) fn blame(self) -> Blame {
        match self {
            Ground::Debugger(_) => Blame::Debugger,
            Ground::Slept | Ground::Stopped | Ground::WatchdogStarved => Blame::Host,
            Ground::Thread(blame) => blame,
            Ground::Nothing => Blame::Unknown,
        }
    }

    fn words(self, evidence: &Evidence) -> String {
        let Evidence { on_cpu, waited, stopped, late, suspended, .. } = *evidence;
        match self {
            Ground::Debugger(pid) => format!("process {pid}, a debugger or a program like it, is attached"),
            Ground::Slept => format!("the host slept for {} meanwhile", spell(suspended)),
            Ground::Stopped => {
                let reason = "stopped, frozen, paused with its machine, or at a breakpoint";
                format!("the process did not run for {} of that time: {reason}", spell(stopped))
            }
            Ground::WatchdogStarved => format!("the watchdog itself waited for a CPU for {} of that time", spell(late)),
            Ground::Thread(_) => spent(on_cpu.unwrap_or_default(), waited.unwrap_or_default(), evidence),
            Ground::Nothing if cfg!(target_os = "linux") => "its thread is not known".to_owned(),
            Ground::Nothing => "not available on this platform".to_owned(),
        }
    }
}

/// Whether its thread got no CPU because this program itself had them.
pub(super) fn starves_itself(evidence: &Evidence) -> bool {
    is_greedy(evidence) && evidence.waited.is_some_and(|waited| half(waited, evidence.window))
}

fn is_greedy(evidence: &Evidence) -> bool {
    evidence.own.is_some_and(|own| own >= GREEDY)
}

fn half(lost: Duration, of: Duration) -> bool {
    lost * 2 >= of && lost > Duration::ZERO
}

/// How the thread spent its time, and who had the CPUs meanwhile.
fn spent(on_cpu: Duration, waited: Duration, evidence: &Evidence) -> String {
    let Evidence { window, own, ref withheld, .. } = *evidence;
    let [of, on_cpu, wanted] = [window, on_cpu, waited].map(spell);
    let mut because = format!("of the last {of} its thread was on a CPU for {on_cpu} and waited for one for {wanted}");
    if let Some(quota) = withheld.quota.filter(|_| withheld.is_throttled() && half(waited, window)) {
        let Withheld { throttled_periods, periods, .. } = withheld;
        because += &format!(", the quota of its control group ({quota:.2} CPUs) being used up in {throttled_periods} of {periods} periods");
    }
    if let Some(percent) = withheld.stolen.filter(|_| half(stolen(evidence), window)) {
        because += &format!(", while the machine under this one gave {percent:.0} % of the CPUs' time to others");
    }
    if let Some(own) = own.filter(|_| starves_itself(evidence)) {
        because += &format!(", while this program itself had {own:.0} % of the CPUs that it may use");
    }
    because
}

/// How much of its time on a CPU was stolen from the thread: its part of what was stolen from all. The kernel counts that as the thread's own, or
/// as nobody's.
fn stolen(evidence: &Evidence) -> Duration {
    let Evidence { window, on_cpu, waited, ref withheld, .. } = *evidence;
    let (on_cpu, waited) = (on_cpu.unwrap_or_default(), waited.unwrap_or_default());
    let share = (withheld.stolen.unwrap_or_default() / 100.0).clamp(0.0, 0.99);
    let of_nobodys = window.saturating_sub(on_cpu + waited);
    on_cpu.mul_f64(share).max(on_cpu.mul_f64(share / (1.0 - share)).min(of_nobodys))
}

/// Whether a finding with this verdict is held back: nothing is wrong with the code, and it is no matter of moments.
pub(super) fn holds_back(blame: Blame, evidence: &Evidence) -> bool {
    let Evidence { waited, stopped, late, suspended, .. } = evidence;
    let kept_waiting = waited.unwrap_or_default() + stolen(evidence);
    match blame {
        Blame::Debugger => true,
        Blame::Host => *suspended >= NAP || kept_waiting.max(*stopped).max(*late) >= NOISE,
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
    fn time_that_the_machine_under_this_one_stole_is_the_hosts_fault() {
        let robbed = |on_cpu, percent| {
            let withheld = Withheld { stolen: Some(percent), ..Withheld::default() };
            Evidence { on_cpu: Some(s(on_cpu)), own: Some(100.0), withheld, ..quiet() }
        };
        assert!(held(30, 30, &robbed(30, 60.0)), "what was stolen counts as the thread's");
        assert!(held(30, 30, &robbed(12, 60.0)), "or as nobody's");
        assert_eq!(blame(30, 30, &robbed(30, 40.0)), Blame::Code);
        assert_eq!(
            (blame(30, 30, &robbed(0, 100.0)), blame(30, 30, &robbed(1, 99.0))),
            (Blame::Code, Blame::Host),
            "it slept; it could not"
        );
        let (_, because) = judge(Stretch { elapsed: s(30), limit: Some(s(30)) }, &robbed(30, 60.0));
        assert!(because.ends_with("the machine under this one gave 60 % of the CPUs' time to others"), "{because}");
    }

    #[test]
    fn a_quota_that_was_used_up_is_named_where_the_thread_waited() {
        let throttled = |waited, own| {
            let withheld = Withheld { quota: Some(0.5), periods: 300, throttled_periods: 280, ..Withheld::default() };
            Evidence { on_cpu: Some(s(2)), waited: Some(s(waited)), own: Some(own), withheld, ..quiet() }
        };
        let told = |evidence: &Evidence| judge(Stretch { elapsed: s(30), limit: Some(s(30)) }, evidence);
        let (blame, because) = told(&throttled(28, 8.0));
        let quota = "the quota of its control group (0.50 CPUs) being used up in 280 of 300 periods";
        assert!(blame == Blame::Host && because.ends_with(quota), "{because}");
        let (blame, because) = told(&throttled(28, 95.0));
        assert!(
            blame == Blame::Code && because.contains(quota) && because.ends_with("itself had 95 % of the CPUs that it may use"),
            "{because}"
        );
        assert!(!told(&throttled(3, 8.0)).1.contains("quota"), "it did not matter");
        assert!(held(30, 30, &throttled(15, 49.0)), "others had the larger part of it");
        assert!(!held(30, 30, &throttled(28, 51.0)), "without them it had not had twice as much");
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
