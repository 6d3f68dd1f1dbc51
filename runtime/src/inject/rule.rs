//! One rule: which function, what is done to it, how often.

use std::error::Error;
use std::fmt;

use super::fault::Fault;
use super::grammar;
use crate::policy::{Origin, Pattern};

/// Which calls suffer which faults.
///
/// ```
/// # fn main() -> Result<(), backstop::inject::InvalidRule> {
/// use backstop::inject::{Fault, Rule};
///
/// // Every tenth call of this function, on average, and three of them at most; the same calls in every run.
/// let rule = Rule::new("trading::api::fetch", Fault::Stall)?.probability(0.1).count(3).seed(7);
/// assert_eq!(rule.to_string(), "trading::api::fetch=10%3*stall");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    function: Pattern,
    steps: Vec<Step>,
    seed: u64,
    origin: Option<Origin>,
}

/// One step of a rule. The first step that takes a call decides what happens to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// How likely it takes a call, from 0 to 1.
    pub(super) probability: f64,
    /// How many calls it takes at most.
    pub(super) count: Option<u64>,
    /// What happens to a call that it takes; `None` for nothing.
    pub(super) fault: Option<Fault>,
}

impl Step {
    pub(super) fn always(fault: Option<Fault>) -> Self {
        Self { probability: 1.0, count: None, fault }
    }
}

impl Rule {
    /// Every call of the functions that `function` names suffers `fault`. A name or a glob, as in policies.
    ///
    /// # Errors
    /// Where `function` is no name and no glob.
    pub fn new(function: &str, fault: Fault) -> Result<Self, InvalidRule> {
        let function = Pattern::parse(function).map_err(|reason| InvalidRule(format!("the function name `{function}` {reason}")))?;
        Ok(Self::of(function, fault))
    }

    /// Reads rules in the grammar of `BACKSTOP_INJECT`: `seed=7;name=5%3*delay(200ms)->off;other=stall`.
    ///
    /// # Errors
    /// The first thing that does not fit the grammar, and what may stand in its place.
    pub fn parse(text: &str) -> Result<Vec<Self>, InvalidRule> {
        grammar::rules(text)
    }

    pub(crate) fn of(function: Pattern, fault: Fault) -> Self {
        Self::of_steps(function, vec![Step::always(Some(fault))])
    }

    pub(super) fn of_steps(function: Pattern, steps: Vec<Step>) -> Self {
        Self { function, steps, seed: 0, origin: None }
    }

    /// How likely a call suffers the fault; below 0 is 0, above 1 is 1.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        for step in &mut self.steps {
            step.probability = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
        }
        self
    }

    /// How many calls suffer the fault at most.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        for step in &mut self.steps {
            step.count = Some(count);
        }
        self
    }

    /// Another seed draws other calls; the same seed the same calls in every run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub(crate) fn written_at(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    pub(crate) fn function(&self) -> &Pattern {
        &self.function
    }

    pub(crate) fn is_for_devices(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.fault, Some(Fault::Device(_))))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn seed_of(&self) -> u64 {
        self.seed
    }

    /// Whether both do the same, wherever they are written.
    pub(super) fn does_as(&self, other: &Self) -> bool {
        (&self.function, &self.steps, self.seed) == (&other.function, &other.steps, other.seed)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.function)?;
        for (n, step) in self.steps.iter().enumerate() {
            if n > 0 {
                f.write_str("->")?;
            }
            grammar::write_step(f, step)?;
        }
        Ok(())
    }
}

/// A rule for fault injection cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRule(pub(super) String);

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InvalidRule {}
