//! What somebody found wrong: the watchdog, a guarded call, a device. Plain facts, from which the reporter makes the report.

use std::sync::Arc;
use std::time::Duration;

use super::{Awaited, IncidentId, IncidentKind};
use crate::clock::Tick;
use crate::flight::{RuntimeState, Tree};
use crate::host::Verdict;
use crate::policy::Origin;
use crate::site::Site;

/// Something is wrong with a function or with the whole process.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) kind: IncidentKind,
    /// `None` where it is no function's fault: a stalled runtime.
    pub(crate) site: Option<&'static Site>,
    /// When it was found.
    pub(crate) at: Tick,
    /// The id of the call in [`Tree`].
    pub(crate) call: Option<u64>,
    /// The limit that passed and who set it.
    pub(crate) limit: Option<(Duration, Origin)>,
    /// How long the call has run, or how long it has been silent or blocked.
    pub(crate) elapsed: Duration,
    pub(crate) attempt: u32,
    pub(crate) attempts: u32,
    /// The thread that is blocked.
    pub(crate) thread: Option<String>,
    /// The running calls when it was found; the reporter looks itself where the finder could not.
    pub(crate) tree: Option<Tree>,
    /// The runtimes when it was found, the stalled one first; the reporter looks itself where the finder did not.
    pub(crate) runtimes: Vec<RuntimeState>,
    /// What the threads do; somebody may still be looking.
    pub(crate) threads: Option<Arc<Awaited>>,
    /// Since when what is wrong has lasted: at most as long as `elapsed`, since an attempt may have begun later than its call.
    pub(crate) since: Tick,
    /// The number of the thread that polled the call last; 0 for none.
    pub(crate) polled_by: u32,
    /// Its times are tokio's paused clock's.
    pub(crate) paused_clock: bool,
    /// Code or host; the reporter judges where the finder did not.
    pub(crate) verdict: Option<Verdict>,
    /// What the finder knows beyond that, in one sentence.
    pub(crate) note: Option<String>,
    /// How often the same was found at the same moment …
    pub(crate) repeats: u64,
    /// … and the numbers of the first of those.
    pub(crate) also: Vec<IncidentId>,
}

impl Finding {
    /// A finding about a function, with nothing but the kind and the time.
    #[cfg_attr(not(any(test, feature = "tch")), expect(dead_code))]
    pub(crate) fn of(kind: IncidentKind, site: &'static Site, at: Tick, elapsed: Duration) -> Self {
        Self { site: Some(site), ..Self::process(kind, at, elapsed) }
    }

    /// What it is about: the function's or the stalled runtime's name; empty for the process as a whole.
    pub(crate) fn subject(&self) -> &'static str {
        subject(self.kind, self.site.map_or("", |site| site.name()), &self.runtimes)
    }

    /// A finding about the process.
    pub(crate) fn process(kind: IncidentKind, at: Tick, elapsed: Duration) -> Self {
        Self {
            kind,
            site: None,
            at,
            call: None,
            limit: None,
            elapsed,
            attempt: 1,
            attempts: 1,
            thread: None,
            tree: None,
            runtimes: Vec::new(),
            threads: None,
            since: at.before(elapsed),
            polled_by: 0,
            paused_clock: false,
            verdict: None,
            note: None,
            repeats: 0,
            also: Vec::new(),
        }
    }
}

/// See [`Finding::subject`].
pub(super) fn subject(kind: IncidentKind, function: &'static str, runtimes: &[RuntimeState]) -> &'static str {
    match (kind, runtimes) {
        (IncidentKind::RuntimeStalled, [stalled, ..]) => stalled.name,
        _ => function,
    }
}
