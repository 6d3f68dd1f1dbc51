//! What applies to the process as a whole: `[watchdog]`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::origin::{Origin, Set};
use super::rules::Said;
use super::set::PolicyFile;
use super::settings::Escalation;

/// All that applies to the watchdog and to incidents that are no function's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WatchdogPolicy {
    /// A runtime whose workers make no progress for this long is stalled; [`Duration::MAX`] for never.
    pub runtime_stalled_after: Set<Duration>,
    /// What follows then.
    pub on_runtime_stall: Set<OnRuntimeStall>,
    /// How bad incidents are that are no function's, and who is told; without it, the steps of `[defaults]`.
    pub escalate: Set<Vec<Escalation>>,
}

/// What follows when a runtime is stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRuntimeStall {
    /// An incident, and the program goes on.
    Report,
    /// An incident; when its report is safely written and told, the process ends by `SIGABRT`.
    Abort,
}

/// What a file says of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchdogRules {
    pub(crate) runtime_stalled_after: Said<Duration>,
    pub(crate) on_runtime_stall: Said<OnRuntimeStall>,
    pub(crate) escalate: Said<Vec<Escalation>>,
}

impl WatchdogPolicy {
    /// What applies where nobody says anything.
    pub(crate) fn built_in() -> Self {
        Self {
            runtime_stalled_after: Set::built_in(Duration::from_secs(5)),
            on_runtime_stall: Set::built_in(OnRuntimeStall::Report),
            escalate: Set::built_in(Vec::new()),
        }
    }
}

/// What the watchdog looks up at each look, beside the policy that it stands in: that must not be let go of by a thread without the heap.
static STALLED_AFTER: AtomicU64 = AtomicU64::new(u64::MAX);
static ABORTS: AtomicBool = AtomicBool::new(false);

impl WatchdogPolicy {
    /// It is in force from now on.
    pub(super) fn publish(&self) {
        STALLED_AFTER.store(u64::try_from(self.runtime_stalled_after.value.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        ABORTS.store(self.on_runtime_stall.value == OnRuntimeStall::Abort, Relaxed);
    }
}

/// See [`WatchdogPolicy::runtime_stalled_after`].
pub(crate) fn runtime_stalled_after() -> Duration {
    match STALLED_AFTER.load(Relaxed) {
        u64::MAX => Duration::MAX,
        nanos => Duration::from_nanos(nanos),
    }
}

/// Whether the process ends where a runtime stalls.
pub(crate) fn aborts_on_runtime_stall() -> bool {
    ABORTS.load(Relaxed)
}

impl PolicyFile {
    /// What the file makes of the built-in values.
    pub(crate) fn watchdog(&self) -> WatchdogPolicy {
        let (base, said) = (WatchdogPolicy::built_in(), self.watchdog.clone());
        WatchdogPolicy {
            runtime_stalled_after: said.runtime_stalled_after.unwrap_or(base.runtime_stalled_after),
            on_runtime_stall: said.on_runtime_stall.unwrap_or(base.on_runtime_stall),
            escalate: said.escalate.or_else(|| self.defaults.escalate.clone()).unwrap_or(base.escalate),
        }
    }

    /// Where it says that a stall ends the process, and that there is none; the line of the later key.
    pub(super) fn never_aborts(&self) -> Option<&Origin> {
        let (after, what) = (self.watchdog.runtime_stalled_after.as_ref()?, self.watchdog.on_runtime_stall.as_ref()?);
        (after.value == Duration::MAX && what.value == OnRuntimeStall::Abort).then_some(&what.origin)
    }
}
