//! What is due for a call: pure functions of what is known of it and the time.

use std::time::Duration;

use crate::clock::Tick;
use crate::flight::{FIRED, REPORTED, SILENT, View, WARNED};

/// How long a caller has for dropping the calls that it ends, until they are looked at again.
const AGAIN: Duration = Duration::from_millis(10);

/// Why a call must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Its deadline passed.
    Limit,
    /// It was silent for too long.
    Idle,
}

/// Why a call whose flags these are must end; `None` where it need not.
#[inline]
pub(crate) fn expiry(flags: u32) -> Option<Expiry> {
    match () {
        () if flags & FIRED != 0 => Some(Expiry::Limit),
        () if flags & SILENT != 0 => Some(Expiry::Idle),
        () => None,
    }
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

/// Whether the call's own limit has passed, and may have done so after that of a caller, which ends it by dropping it if it still runs.
pub(crate) fn waits_for_caller(view: &View, now: Tick) -> bool {
    now >= view.deadline && (view.within || view.gap > 0 && view.parent.is_some())
}

/// When something can become due for this call, if nothing happens.
pub(crate) fn next(view: &View, now: Tick) -> Tick {
    let over = view.flags & (FIRED | SILENT) != 0;
    if over {
        return Tick::NEVER;
    }
    let again = if waits_for_caller(view, now) { now.after(AGAIN) } else { Tick::NEVER };
    let later = [view.deadline, view.warn, view.silent_at(), again].into_iter().filter(|at| *at > now);
    later.min().unwrap_or(Tick::NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * SECOND)
    }

    /// Began at 100 s, warns at 105 s, ends at 110 s; no idle limit.
    fn call() -> View {
        View { started: at(100), deadline: at(110), warn: at(105), beat: at(100), ..View::default() }
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        assert_eq!(due(&call(), at(104)), Due::default());
        assert_eq!(next(&call(), at(101)), at(105));
        assert_eq!(next(&call(), at(106)), at(110));
    }

    #[test]
    fn a_call_expires_at_its_deadline_and_once() {
        assert_eq!(due(&call(), at(110)).expired, Some(Expiry::Limit));
        let fired = View { flags: FIRED, ..call() };
        assert_eq!(due(&fired, at(111)), Due::default());
        assert_eq!(next(&fired, at(111)), Tick::NEVER);
    }

    #[test]
    fn a_slow_call_is_warned_of_once_and_not_after_its_end() {
        assert!(due(&call(), at(105)).slow);
        assert!(!due(&View { flags: WARNED, ..call() }, at(106)).slow);
        assert!(!due(&call(), at(110)).slow);
    }

    #[test]
    fn a_deadline_that_is_only_reported_ends_nothing() {
        let watched = View { only_report: true, ..call() };
        assert_eq!(due(&watched, at(110)), Due { expired: None, report: true, slow: false });
        assert_eq!(due(&View { flags: REPORTED, ..watched }, at(110)), Due::default());
    }

    #[test]
    fn silence_counts_from_the_last_beat_or_the_end_of_the_last_hold() {
        let silent = View { idle: 3 * SECOND, ..call() };
        assert_eq!(due(&silent, at(103)).expired, Some(Expiry::Idle));
        assert_eq!(due(&View { beat: at(102), ..silent }, at(104)).expired, None);
        let vouched = View { vouched_until: at(105), ..silent };
        assert_eq!(due(&vouched, at(107)).expired, None);
        assert_eq!(next(&vouched, at(107)), at(108));
    }

    #[test]
    fn a_call_that_its_caller_ends_is_looked_at_again() {
        let within = View { within: true, ..call() };
        assert_eq!(next(&within, at(106)), at(110));
        assert!(!waits_for_caller(&within, at(109)) && waits_for_caller(&within, at(110)));
        assert_eq!(next(&within, at(110)), at(110).after(AGAIN));
    }

    #[test]
    fn a_call_that_may_have_begun_later_asks_whether_its_caller_ends_it() {
        let parent = crate::flight::CallId::of(1 << 32 | 1);
        assert!(parent.is_some());
        assert!(waits_for_caller(&View { gap: 1, parent, ..call() }, at(110)));
        assert!(!waits_for_caller(&View { gap: 1, ..call() }, at(110)), "nobody does");
        assert!(!waits_for_caller(&View { parent, ..call() }, at(110)), "its own is the earlier one");
    }

    #[test]
    fn the_deadline_decides_where_both_passed() {
        assert_eq!(due(&View { idle: SECOND, ..call() }, at(111)).expired, Some(Expiry::Limit));
    }
}
