//! What is due for a call: pure functions of what is known of it and the time.

use crate::clock::Tick;
use crate::flight::{FIRED, REPORTED, SILENT, View, WARNED};

/// Why a call must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Its deadline passed.
    Limit,
    /// It was silent for too long.
    Idle,
}

/// What is due for a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// It must end.
    pub(crate) expired: Option<Expiry>,
    /// Its deadline passed, and the policy says to report it only.
    pub(crate) report: bool,
    /// It is slow: its warning is due.
    pub(crate) slow: bool,
}

/// What is due for a call now, of what was not done before.
pub(crate) fn due(view: &View, now: Tick) -> Due {
    let up = |flag: u32| view.flags & flag != 0;
    let passed = now >= view.deadline;
    let over = up(FIRED) || up(SILENT);
    let expired = match () {
        () if over => None,
        () if passed && !view.only_report => Some(Expiry::Limit),
        () if now >= view.silent_at() => Some(Expiry::Idle),
        () => None,
    };
    Due { expired, report: passed && view.only_report && !up(REPORTED), slow: now >= view.warn && !passed && !over && !up(WARNED) }
}

/// When something can become due for this call, if nothing happens.
pub(crate) fn next(view: &View, now: Tick) -> Tick {
    let over = view.flags & (FIRED | SILENT) != 0;
    if over {
        return Tick::NEVER;
    }
    let later = [view.deadline, view.warn, view.silent_at()].into_iter().filter(|at| *at > now);
    later.min().unwrap_or(Tick::NEVER)
}
