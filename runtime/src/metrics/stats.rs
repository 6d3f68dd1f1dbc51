//! The counters as a table: one row for each annotated function.

use std::time::Duration;

use super::flush::{load, tallies, total};
use super::groups::{Group, groups};
use super::names::{DEVICE_CLASSES, DEVICES};
use super::tally::Tally;
use crate::outcome::Outcome;
use crate::site::{Kind, Site};

/// What has happened to one annotated function since the program started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionStats {
    /// The function's name; functions that share a name share a row.
    pub name: &'static str,
    /// The attributes it carries.
    pub kinds: Vec<Kind>,
    /// Calls that ended, however they ended.
    pub calls: u64,
    /// Calls that run now.
    pub in_flight: u64,
    /// Calls by outcome, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Attempts after the first.
    pub retries: u64,
    /// How often the function of `fallback = path` was called.
    pub fallbacks: u64,
    /// Calls that moved to the CPU after a device fault.
    pub device_fallbacks: u64,
    /// Polls that lasted longer than the policy's `blocked_after`.
    pub blocked_polls: u64,
    /// Bodies and blocking work that have outlived their caller and still run.
    pub orphans: u64,
    /// The longest call that ended; zero without one.
    pub longest: Duration,
}

impl FunctionStats {
    /// How many calls ended this way.
    #[must_use]
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    fn of(group: &Group) -> Self {
        let calls = &group.callable;
        let outcomes = Outcome::ALL.map(|outcome| total(calls, |tally| tally.outcome(outcome)));
        Self {
            name: group.name,
            kinds: kinds(&group.sites),
            calls: outcomes.iter().sum(),
            in_flight: total(calls, Tally::in_flight),
            outcomes,
            retries: total(&group.sites, |tally| load(&tally.retries)),
            fallbacks: total(&group.sites, |tally| load(&tally.fallbacks)),
            device_fallbacks: total(&group.sites, device_fallbacks),
            blocked_polls: total(&group.sites, |tally| load(&tally.blocked_polls)),
            orphans: total(&group.sites, Tally::orphans),
            longest: tallies(calls).map(Tally::longest).max().unwrap_or_default(),
        }
    }
}

fn kinds(sites: &[&'static Site]) -> Vec<Kind> {
    [Kind::TimeoutAsync, Kind::SafeMpsOp].into_iter().filter(|kind| sites.iter().any(|site| site.kind() == *kind)).collect()
}

fn device_fallbacks(tally: &Tally) -> u64 {
    let pairs = (0..DEVICES.len()).flat_map(|device| (0..DEVICE_CLASSES.len()).map(move |class| (device, class)));
    pairs.map(|(device, class)| tally.device_fallbacks(device, class)).sum()
}

/// What has happened to every annotated function since the program started, sorted by name.
///
/// # Examples
///
/// ```
/// for row in backstop::stats() {
///     println!("{:<40} {:>8} calls, longest {:?}", row.name, row.calls, row.longest);
/// }
/// ```
#[must_use]
pub fn stats() -> Vec<FunctionStats> {
    groups().iter().map(FunctionStats::of).collect()
}
