//! One line of the table: what a call costs beside another.

use rustix::time::{ClockId, clock_gettime};

/// See the module.
pub struct Row<'r> {
    /// What the command line and the ceilings call it.
    pub name: &'static str,
    pub what: &'static str,
    pub against: &'static str,
    /// In one round.
    pub calls: u32,
    pub base: &'r dyn Fn(),
    pub with: &'r dyn Fn(),
    /// What the difference is a part of, where that is not `base`.
    pub part_of: Option<&'r dyn Fn()>,
    pub goal: Goal,
}

/// The most that a difference may be.
#[derive(Clone, Copy, Default)]
pub struct Goal {
    pub nanos: Option<f64>,
    /// Of the call that it is a part of.
    pub percent: Option<f64>,
}

/// Medians over the rounds, in nanoseconds.
pub struct Times {
    pub base: f64,
    /// The median of the rounds' differences.
    pub more: f64,
    pub percent: f64,
}

impl Row<'_> {
    /// The sides in turn, so that what disturbs the machine disturbs all of them.
    pub fn time(&self, rounds: usize) -> Times {
        let round = |_| {
            let (base, with) = (self.each(self.base), self.each(self.with));
            (base, with - base, self.part_of.map_or(base, |whole| self.each(whole)))
        };
        round(0); // warms up
        let rounds: Vec<(f64, f64, f64)> = (0..rounds).map(round).collect();
        let median = |of: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(of).collect());
        Times { base: median(|round| round.0), more: median(|round| round.1), percent: median(|round| round.1 / round.2 * 100.0) }
    }

    /// The processor time of one call, in nanoseconds: who shares the machine is not counted.
    fn each(&self, call: &dyn Fn()) -> f64 {
        let begin = thread_time();
        (0..self.calls).for_each(|_| call());
        (thread_time() - begin) / f64::from(self.calls)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn thread_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

impl Goal {
    /// As the table shows it; one that is missed is marked.
    pub fn shown(self, times: &Times) -> String {
        let nanos = self.nanos.map(|most| (format!("≤ {most} ns"), times.more <= most));
        let percent = self.percent.map(|most| (format!("≤ {most} %"), times.percent <= most));
        let shown = nanos.into_iter().chain(percent).map(|(goal, met)| if met { goal } else { format!("{goal} (missed)") });
        shown.collect::<Vec<_>>().join(", ")
    }
}
