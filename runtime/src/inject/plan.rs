//! Which call suffers which fault: rules with their counters.
//!
//! The n-th draw of a rule depends on its seed and on n alone: no lock, and the same calls in every run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fault::Fault;
use super::rule::{Rule, Step};
use crate::site::{Kind, Site};

/// The rules in force, sorted by function.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    rules: Vec<Arc<Armed>>,
    /// By [`Site::id`]; empty where there are no rules at all.
    by_site: Vec<(Fits, Vec<Arc<Armed>>)>,
}

impl Plan {
    /// Rules that `before` had too go on counting where they were.
    pub(crate) fn new(rules: Vec<Rule>, sites: &[&'static Site], before: Option<&Self>) -> Self {
        if rules.is_empty() {
            return Self::default();
        }
        // Where there are some, there may be more after the next reload.
        super::expect();
        let known = before.map_or(&[][..], |before| &before.rules);
        let rules: Vec<Arc<Armed>> = rules.into_iter().map(|rule| Armed::again(rule, known)).collect();
        let of_name = |name| rules.iter().filter(|armed| armed.matches(name)).cloned().collect();
        let by_site = sites.iter().map(|site| (Fits::of(site, sites), of_name(site.name()))).collect();
        Self { by_site, rules }
    }

    /// The fault that this call suffers.
    pub(crate) fn draw(&self, site: &'static Site) -> Option<Fault> {
        let (fits, rules) = self.by_site.get(site.id())?;
        rules.iter().find_map(|armed| armed.draw(*fits))
    }
}

/// Which faults an attribute injects. A function with both attributes asks twice for each call; every fault has one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fits {
    device: bool,
    others: bool,
}

impl Fits {
    /// A device fault is for `#[safe_mps_op]`; the others are for `#[timeout_async]` where the function has it.
    pub(super) fn of(site: &Site, sites: &[&'static Site]) -> Self {
        let device = site.kind() == Kind::SafeMpsOp;
        let guarded = |other: &&&Site| other.name() == site.name() && other.kind() == Kind::TimeoutAsync;
        Self { device, others: !device || !sites.iter().any(|other| guarded(&other)) }
    }

    /// Whether another attribute of the function asks first, for the same call.
    fn again(self) -> bool {
        !self.others
    }

    fn takes(self, fault: Option<&Fault>) -> bool {
        match fault {
            None => true,
            Some(Fault::Device(_)) => self.device,
            Some(_) => self.others,
        }
    }
}

/// A rule and how far it has come.
#[derive(Debug)]
pub(super) struct Armed {
    rule: Rule,
    seed: u64,
    drawn: AtomicU64,
    /// How many calls each step has taken: where the attribute asks first, and where it asks again. A call that no fault is for (`off`) is let
    /// off by both.
    taken: Vec<[AtomicU64; 2]>,
}

impl Armed {
    pub(super) fn new(rule: Rule) -> Self {
        let seed = mixed(rule.seed_of() ^ hash(rule.function().as_str()));
        let taken = rule.steps().iter().map(|_| Default::default()).collect();
        Self { rule, seed, drawn: AtomicU64::new(0), taken }
    }

    fn again(rule: Rule, known: &[Arc<Self>]) -> Arc<Self> {
        match known.iter().find(|armed| armed.rule.does_as(&rule)) {
            Some(armed) => Arc::clone(armed),
            None => Arc::new(Self::new(rule)),
        }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.rule.function().matches(name)
    }

    /// The first step that takes the call decides; none may.
    pub(super) fn draw(&self, fits: Fits) -> Option<Fault> {
        let steps = self.rule.steps().iter().zip(&self.taken).filter(|(step, _)| fits.takes(step.fault.as_ref()));
        let taken_by = |step: &Step| usize::from(step.fault.is_none() && fits.again());
        steps.filter(|(step, taken)| self.takes(step, &taken[taken_by(step)])).map(|(step, _)| step.fault.clone()).next()?
    }

    fn takes(&self, step: &Step, taken: &AtomicU64) -> bool {
        let count = step.count.unwrap_or(u64::MAX);
        if taken.load(Ordering::Relaxed) >= count || self.chance() >= step.probability {
            return false;
        }
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < count).then(|| taken.saturating_add(1))).is_ok()
    }

    /// The next number of the sequence, from 0 to below 1.
    fn chance(&self) -> f64 {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed);
        let bits = mixed(self.seed.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))) >> 11;
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let fraction = bits as f64 / (1_u64 << 53) as f64;
        fraction
    }
}

/// The output function of SplitMix64.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// FNV-1a: rules for different functions draw differently without a seed of their own.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Fits = Fits { device: true, others: true };

    fn rule(text: &str) -> Rule {
        Rule::parse(text).unwrap().remove(0)
    }

    fn sequence(rule: &Rule, calls: usize) -> Vec<bool> {
        let armed = Armed::new(rule.clone());
        (0..calls).map(|_| armed.draw(ANY).is_some()).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_calls() {
        let rule = rule("api::fetch=30%stall");
        assert_eq!(sequence(&rule, 200), sequence(&rule, 200));
        assert_ne!(sequence(&rule, 200), sequence(&rule.clone().seed(7), 200));
    }

    #[test]
    fn as_many_calls_suffer_as_the_probability_says() {
        let hit = sequence(&rule("api::fetch=5%stall"), 10_000).into_iter().filter(|hit| *hit).count();
        assert!((400..600).contains(&hit), "{hit} of 10000");
    }

    #[test]
    fn a_probability_outside_of_its_range_is_never_or_always() {
        let stall = rule("a=stall");
        assert!(sequence(&stall.clone().probability(-3.0), 100).iter().all(|hit| !hit));
        assert!(sequence(&stall.probability(3.0), 100).iter().all(|hit| *hit));
    }

    #[test]
    fn a_count_ends_and_the_next_step_takes_over() {
        let armed = Armed::new(rule("a=2*stall->1*error(x)->off"));
        let names: Vec<_> = (0..5).map(|_| armed.draw(ANY).map(|fault| fault.name())).collect();
        assert_eq!(names, [Some("stall"), Some("stall"), Some("error"), None, None]);
    }

    #[test]
    fn a_reload_keeps_the_count_of_a_rule_that_stays() {
        let before = Plan::new(vec![rule("a=2*stall")], &[], None);
        assert!(before.rules[0].draw(ANY).is_some());
        let after = Plan::new(vec![rule("b=stall"), rule("a=2*stall")], &[], Some(&before));
        assert!(after.rules[1].draw(ANY).is_some());
        assert!(after.rules[1].draw(ANY).is_none());
    }

    #[test]
    fn a_function_with_both_attributes_suffers_each_fault_once() {
        static GUARDED: Site = Site::timeout_async("train::epoch");
        static ON_DEVICE: Site = Site::safe_mps_op("train::epoch");
        static TENSORS: Site = Site::safe_mps_op("train::loss");
        let sites: [&Site; 3] = [&GUARDED, &ON_DEVICE, &TENSORS];
        let drawn = |text, site: &Site| Armed::new(rule(text)).draw(Fits::of(site, &sites)).is_some();
        assert_eq!([&GUARDED, &ON_DEVICE, &TENSORS].map(|site| drawn("train::*=stall", site)), [true, false, true]);
        assert_eq!([&GUARDED, &ON_DEVICE, &TENSORS].map(|site| drawn("train::*=device", site)), [false, true, true]);
    }

    #[test]
    fn a_call_that_is_let_off_is_counted_once_though_both_attributes_ask() {
        static GUARDED: Site = Site::timeout_async("train::step");
        static ON_DEVICE: Site = Site::safe_mps_op("train::step");
        let sites: [&Site; 2] = [&GUARDED, &ON_DEVICE];
        let calls = |text| {
            let armed = Armed::new(rule(text));
            let call = || sites.map(|site| armed.draw(Fits::of(site, &sites)).map(|fault| fault.name()));
            [call(), call(), call(), call()]
        };
        let none = [None, None];
        assert_eq!(calls("train::step=2*off->1*stall->off"), [none, none, [Some("stall"), None], none]);
        assert_eq!(calls("train::step=2*off->1*device->off"), [none, none, [None, Some("device")], none]);
    }
}
