//! A running call as it stood at one moment: what judges are given.

use std::time::Duration;

use super::bits::{ALARM, ALONE, FIRED, INHERITED, LINK, PAUSED, REPORTED, SILENT, WARNED};
use super::extra::Limits;
use super::id::CallId;
use super::plan::{Plan, nanos};
use super::record::gap;
use crate::clock::Tick;
use crate::site::Site;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) generation: u32,
    pub(crate) flags: u32,
    /// `None` for an alarm.
    pub(crate) site: Option<&'static Site>,
    pub(crate) parent: Option<CallId>,
    pub(crate) started: Tick,
    pub(crate) deadline: Tick,
    /// So many nanoseconds earlier it may be, if one knew exactly when the call began.
    pub(crate) gap: u64,
    pub(crate) warn: Tick,
    /// Nanoseconds; `u64::MAX`: none.
    pub(crate) idle: u64,
    pub(crate) blocked_after: Duration,
    pub(crate) attempt: u32,
    /// Twice the number of polls, plus one while a poll lasts.
    pub(crate) polls: u64,
    /// The poll that lasts, where the reader has looked for it.
    pub(crate) poll: Option<Poll>,
    /// The number of the thread on which it waited first.
    pub(crate) thread: u32,
    pub(crate) beat: Tick,
    pub(crate) vouched_until: Tick,
    /// The deadline is the caller's: the caller reports it.
    pub(crate) inherited: bool,
    /// A caller has an earlier deadline than this one: while such a caller runs, it ends the call by dropping it. See
    /// [`has_caller`](super::has_caller).
    pub(crate) within: bool,
    pub(crate) only_report: bool,
    pub(crate) paused_clock: bool,
    pub(crate) alarm: bool,
    /// No call, but the place of one in another task.
    pub(crate) link: bool,
    /// What the record says of its end.
    pub(crate) due: u64,
}

/// A poll that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Poll {
    /// The number of the thread.
    pub(crate) thread: u32,
    pub(crate) since: Tick,
}

#[cfg(test)]
impl Default for View {
    fn default() -> Self {
        Self::layered(None, 0, Tick::default(), &Limits::NONE)
    }
}

const FLAGS: u32 = FIRED | SILENT | WARNED | REPORTED | ALONE;

impl View {
    /// Of a call without layers.
    pub(super) fn plain(plan: &'static Plan, bits: u32, started: Tick) -> Self {
        let gap = gap(bits, started);
        let [deadline, warn] =
            [plan.limit, plan.warn].map(|nanos| Tick::from_nanos(started.as_nanos().saturating_add(gap).saturating_add(nanos)));
        let blocked_after = plan.policy.blocked_after.value;
        let limits = Limits { deadline, warn, blocked_after, within: bits & INHERITED != 0, ..Limits::NONE };
        Self { gap, ..Self::layered(Some(plan), bits, started, &limits) }
    }

    /// Of a call with limits of its own.
    pub(super) fn layered(plan: Option<&'static Plan>, bits: u32, started: Tick, limits: &Limits) -> Self {
        let alarm = bits & ALARM != 0;
        Self {
            generation: 0,
            flags: bits & FLAGS,
            site: plan.map(|plan| plan.site),
            parent: None,
            started,
            deadline: if alarm { started } else { limits.deadline },
            gap: 0,
            warn: limits.warn,
            idle: nanos(limits.idle),
            blocked_after: limits.blocked_after,
            attempt: limits.attempt,
            polls: 0,
            poll: None,
            thread: 0,
            beat: started,
            vouched_until: Tick::default(),
            inherited: limits.inherited,
            within: limits.within,
            only_report: limits.only_report,
            paused_clock: bits & PAUSED != 0,
            alarm,
            link: bits & LINK != 0,
            due: 0,
        }
    }

    /// Whether a poll lasts.
    pub(crate) fn polling(&self) -> bool {
        self.polls & 1 == 1
    }

    /// Whether the deadline of `caller` is the earlier one, or may be.
    pub(super) fn ends_after(&self, caller: &Self) -> bool {
        !caller.only_report && caller.deadline.as_nanos().saturating_sub(caller.gap) <= self.deadline.as_nanos()
    }

    /// When the silence becomes too long, as things stand.
    pub(crate) fn silent_at(&self) -> Tick {
        if self.idle == u64::MAX {
            return Tick::NEVER;
        }
        self.beat.max(self.vouched_until).after(Duration::from_nanos(self.idle))
    }
}
