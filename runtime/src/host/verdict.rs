//! Who is to blame, and what that is read from.

use std::time::Duration;

use super::judge::Stretch;
use super::{Withheld, judge};

/// Who is to blame for a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Blame {
    /// The code: it waited or computed while the host let it.
    Code,
    /// The host: it stopped the process, slept, or gave it no CPU.
    Host,
    /// A debugger, or a program like it, that is attached.
    Debugger,
    /// The platform does not say.
    Unknown,
}

impl Blame {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Blame::Code => "code",
            Blame::Host => "host",
            Blame::Debugger => "debugger",
            Blame::Unknown => "unknown",
        }
    }
}

/// Whether the code is to blame for an incident, or the host, and what that is read from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// Who is.
    pub blame: Blame,
    /// Why, in one sentence.
    pub because: String,
    /// What it is read from.
    pub evidence: Evidence,
}

/// What the host did to the process while something went wrong.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// How far back the figures of the thread reach: as long as the call lasted, a minute at most.
    pub window: Duration,
    /// How long the thread was on a CPU in that time; `None` where that is not known.
    pub on_cpu: Option<Duration>,
    /// How long it was able to run and waited for a CPU.
    pub waited: Option<Duration>,
    /// How much of the CPUs that it may use, by their number and by a quota, this process had in that time, in percent.
    pub own: Option<f64>,
    /// How long nothing of the process ran.
    pub stopped: Duration,
    /// How long the watchdog itself waited for a CPU.
    pub late: Duration,
    /// How long the host slept.
    pub suspended: Duration,
    /// In how many percent of the last 10 seconds somebody on the host waited for a CPU.
    pub pressure: Option<f64>,
    /// The process that traces this one.
    pub debugger: Option<u32>,
    /// The CPU time that a quota, or the machine under this one, kept from the process.
    pub withheld: Withheld,
}

/// What a verdict is made of, without its words: those take the heap.
#[derive(Clone, Debug)]
pub(crate) struct Weighed {
    pub(super) stretch: Stretch,
    pub(super) evidence: Evidence,
}

impl Weighed {
    /// The verdict, in words.
    pub(crate) fn verdict(self) -> Verdict {
        let Self { stretch, evidence } = self;
        let (blame, because) = judge::judge(stretch, &evidence);
        Verdict { blame, because, evidence }
    }

    /// Whether a finding with this verdict is held back.
    pub(crate) fn holds_back(&self) -> bool {
        judge::holds_back(judge::ground(self.stretch, &self.evidence).blame(), &self.evidence)
    }
}

impl Verdict {
    /// For what is the code's by its nature, such as a panic.
    pub(crate) fn of_the_code(because: &str) -> Self {
        Self { blame: Blame::Code, because: because.to_owned(), evidence: Evidence::default() }
    }

    /// Where nothing can be said.
    pub(crate) fn unknown(because: &str) -> Self {
        Self { blame: Blame::Unknown, because: because.to_owned(), evidence: Evidence::default() }
    }

    /// What is to be said before anything about the body, where that is not to blame.
    pub(crate) fn excuse(&self) -> Option<String> {
        let because = &self.because;
        match self.blame {
            Blame::Host => Some(format!("the host, not the code: {because}")),
            Blame::Debugger => Some(because.clone()),
            Blame::Code if judge::starves_itself(&self.evidence) => Some(format!("the program as a whole, not this body alone: {because}")),
            Blame::Code | Blame::Unknown => None,
        }
    }

    /// Whether a finding with this verdict is held back.
    pub(crate) fn holds_back(&self) -> bool {
        judge::holds_back(self.blame, &self.evidence)
    }
}
