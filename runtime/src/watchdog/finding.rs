//! What is found wrong with a call, as the reporter wants it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::judge::Expiry;
use super::stack;
use crate::clock::Tick;
use crate::flight::{self, CallId, Plan, Polled, Record, Terms, Tree, View};
use crate::incident::{Finding, IncidentKind};

/// What is wrong with a call that must end for this reason.
pub(super) fn kind(record: &Record, expiry: Expiry) -> IncidentKind {
    let shown = || record.shown()?.deadline.as_ref().map(|deadline| deadline.kind.into());
    match expiry {
        Expiry::Limit => shown().unwrap_or(IncidentKind::Limit),
        Expiry::Idle => IncidentKind::Idle,
    }
}

/// Its deadline passed: its own, or the one of its whole call.
pub(super) fn limit(id: CallId, view: &View, now: Tick) -> Finding {
    let terms = terms(id, view);
    let deadline = terms.as_ref().and_then(|terms| terms.deadline.as_ref());
    let kind = deadline.map_or(IncidentKind::Limit, |deadline| deadline.kind.into());
    let limit = deadline.map(|deadline| (deadline.limit, deadline.set_by.clone()));
    // An attempt after the first began later than its call.
    let since = deadline.map_or(view.started, |deadline| deadline.at.before(deadline.limit));
    Finding { limit, since, ..about(kind, id, view, terms.as_deref(), now.since(view.started), now) }
}

/// It came back with a value, past a deadline that nobody had noticed before.
pub(super) fn late(id: CallId, view: &View, now: Tick) -> Finding {
    Finding { kind: IncidentKind::Late, ..limit(id, view, now) }
}

/// It gave no sign of life for too long.
pub(super) fn idle(id: CallId, record: &Record, view: &View, now: Tick) -> Finding {
    let terms = terms(id, view);
    let limit = terms.as_ref().and_then(|terms| Some((terms.policy.idle.value?, terms.policy.idle.origin.clone())));
    let note = record.progress().map(|progress| format!("the last sign of life said: {progress}"));
    Finding { limit, note, ..about(IncidentKind::Idle, id, view, terms.as_deref(), now.since(view.beat), now) }
}

/// Its poll does not return.
pub(super) fn blocked(polled: &Polled, elapsed: Duration, thread: String, now: Tick) -> Finding {
    let Polled { id, view, .. } = polled;
    let terms = terms(*id, view);
    let after = terms.as_ref().map(|terms| (terms.policy.blocked_after.value, terms.policy.blocked_after.origin.clone()));
    Finding { limit: after, thread: Some(thread), ..about(IncidentKind::Blocked, *id, view, terms.as_deref(), elapsed, now) }
}

/// Its body panicked.
pub(super) fn panicked(id: CallId, view: &View, now: Tick) -> Finding {
    about(IncidentKind::Panicked, id, view, terms(id, view).as_deref(), now.since(view.started), now)
}

/// The terms of the call; of one that has no record, those that its function has now.
fn terms(id: CallId, view: &View) -> Option<Arc<Terms>> {
    flight::terms(id).or_else(|| Some(Arc::new(Terms::plain(Plan::of(view.site?)?.0, view.started, None))))
}

fn about(kind: IncidentKind, id: CallId, view: &View, terms: Option<&Terms>, elapsed: Duration, now: Tick) -> Finding {
    let poll = view.poll.or_else(|| view.polling().then(|| flight::poll_of(id))?);
    let thread = poll.map_or(view.thread, |poll| poll.thread);
    Finding {
        site: view.site,
        call: Some(id.number()),
        attempt: view.attempt,
        attempts: terms.map_or(1, |terms| terms.attempts),
        // Asked first: the thread may move on while the tree is read.
        threads: poll.filter(|_| is_held(kind, view)).and_then(|poll| stack::of_poll(id, poll)),
        tree: tree(id, now),
        polled_by: thread,
        paused_clock: view.paused_clock,
        ..Finding::process(kind, now, elapsed)
    }
}

/// Whether the call holds a thread, so that the thread's stack says where. A call that looks after itself, or has panicked, is not stuck.
fn is_held(kind: IncidentKind, view: &View) -> bool {
    view.polling() && !(view.paused_clock && kind != IncidentKind::Blocked) && kind != IncidentKind::Panicked
}

/// Calls that findings of one moment show altogether; beyond that they show none, and the reporter looks itself where it writes a report.
const SHOWN: usize = 10_000;
/// A call and its callers count as so many.
const PATH: usize = 10;

/// The running calls. Read once a moment: a hundred thousand calls that expire together are no hundred thousand readings, and where that many
/// run each finding shows its call and the callers alone.
fn tree(id: CallId, now: Tick) -> Option<Tree> {
    thread_local!(static READ: RefCell<(Tick, Tree, usize)> = RefCell::new((Tick::NEVER, Tree::default(), 0)));
    let read = |read: &RefCell<(Tick, Tree, usize)>| {
        let (at, tree, left) = &mut *read.try_borrow_mut().ok()?;
        if *at != now {
            (*at, *left) = (now, SHOWN);
            *tree = if flight::at_most(SHOWN) { flight::snapshot() } else { Tree::default() };
        }
        let whole = tree.calls.len() <= *left && tree.calls.iter().any(|call| call.id == id.number());
        *left = left.checked_sub(if whole { tree.calls.len() } else { PATH })?;
        Some(if whole { tree.clone() } else { flight::path(id, now) })
    };
    READ.try_with(read).ok().flatten()
}
