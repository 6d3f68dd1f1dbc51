//! What kind of thing went wrong.

use crate::outcome::TimeoutKind;
use crate::policy::Severity;
use crate::site::Kind;

/// Every severity, in the order of their counters.
pub(crate) const SEVERITIES: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

/// What kind of thing went wrong; the label `kind` of `backstop_incidents_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum IncidentKind {
    /// The limit of one attempt passed.
    Limit,
    /// The longest allowed silence passed.
    Idle,
    /// The limit of the whole call passed, retries included.
    Total,
    /// The body came back after its limit, because it had blocked its thread.
    Late,
    /// One poll blocks its thread.
    Blocked,
    /// A body runs on after its caller has gone.
    Orphan,
    /// A body panicked.
    Panicked,
    /// A device failed a tensor function; the note says whether the CPU did the work.
    Device,
    /// No worker of a runtime makes progress.
    RuntimeStalled,
    /// The watchdog's own thread was late: a starved or suspended host.
    WatchdogLate,
}

impl IncidentKind {
    /// Every kind, in the order of their counters.
    pub const ALL: [IncidentKind; 10] = [
        IncidentKind::Limit,
        IncidentKind::Idle,
        IncidentKind::Total,
        IncidentKind::Late,
        IncidentKind::Blocked,
        IncidentKind::Orphan,
        IncidentKind::Panicked,
        IncidentKind::Device,
        IncidentKind::RuntimeStalled,
        IncidentKind::WatchdogLate,
    ];

    /// The label in metrics and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            IncidentKind::Limit => "limit",
            IncidentKind::Idle => "idle",
            IncidentKind::Total => "total",
            IncidentKind::Late => "late",
            IncidentKind::Blocked => "blocked",
            IncidentKind::Orphan => "orphan",
            IncidentKind::Panicked => "panicked",
            IncidentKind::Device => "device",
            IncidentKind::RuntimeStalled => "runtime_stalled",
            IncidentKind::WatchdogLate => "watchdog_late",
        }
    }

    /// How bad it is where the policy says nothing.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            IncidentKind::Limit | IncidentKind::Idle | IncidentKind::Total | IncidentKind::Panicked => Severity::Error,
            IncidentKind::Late | IncidentKind::Blocked | IncidentKind::Orphan => Severity::Warning,
            IncidentKind::Device | IncidentKind::WatchdogLate => Severity::Warning,
            IncidentKind::RuntimeStalled => Severity::Critical,
        }
    }

    /// Whether it lasts, so that its finder tells when it is over; others happen at one moment.
    pub(super) const fn lasts(self) -> bool {
        matches!(self, IncidentKind::Blocked | IncidentKind::Orphan | IncidentKind::RuntimeStalled)
    }

    /// Whether the host can be to blame for it; then it is held back.
    pub(super) const fn can_be_excused(self) -> bool {
        match self {
            IncidentKind::Limit | IncidentKind::Idle | IncidentKind::Total | IncidentKind::Late => true,
            IncidentKind::Blocked | IncidentKind::RuntimeStalled => true,
            IncidentKind::Orphan | IncidentKind::Panicked | IncidentKind::Device | IncidentKind::WatchdogLate => false,
        }
    }

    /// Whether functions with this attribute can have it.
    pub(crate) const fn concerns(self, kind: Kind) -> bool {
        match self {
            IncidentKind::Device => matches!(kind, Kind::SafeMpsOp),
            IncidentKind::RuntimeStalled | IncidentKind::WatchdogLate => false,
            _ => matches!(kind, Kind::TimeoutAsync),
        }
    }
}

impl From<TimeoutKind> for IncidentKind {
    /// A refusal or an injected error is no incident of its own; where it is reported, it counts against the whole call.
    fn from(kind: TimeoutKind) -> Self {
        match kind {
            TimeoutKind::Limit => IncidentKind::Limit,
            TimeoutKind::Idle => IncidentKind::Idle,
            TimeoutKind::Late => IncidentKind::Late,
            TimeoutKind::Total | TimeoutKind::Rejected(_) | TimeoutKind::Injected => IncidentKind::Total,
        }
    }
}
