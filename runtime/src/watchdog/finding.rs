//! What is found wrong with a call: seen without the heap, and put in words for the reporter.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::judge::Expiry;
use super::rolls::Rolls;
use super::stack;
use crate::clock::Tick;
use crate::flight::{self, CallId, Plan, Polled, Record, Roll, Terms, View};
use crate::incident::{Finding, IncidentKind, Sighting};

/// What is wrong with a call that must end for this reason.
pub(super) fn kind(record: &Record, expiry: Expiry) -> IncidentKind {
    match expiry {
        Expiry::Limit => record.deadline_kind().map_or(IncidentKind::Limit, Into::into),
        Expiry::Idle => IncidentKind::Idle,
    }
}

/// Its deadline passed: its own, or the one of its whole call.
pub(super) fn limit(id: CallId, view: &View, now: Tick) -> Sighting {
    let kind = flight::running(id).map_or(IncidentKind::Limit, |record| kind(record, Expiry::Limit));
    about(limit_in_words, kind, id, view, now.since(view.started), now)
}

/// It came back with a value, past a deadline that nobody had noticed before.
pub(super) fn late(id: CallId, view: &View, now: Tick) -> Sighting {
    about(limit_in_words, IncidentKind::Late, id, view, now.since(view.started), now)
}

fn limit_in_words(seen: &Sighting) -> Finding {
    let terms = terms(seen);
    let deadline = terms.as_ref().and_then(|terms| terms.watched.as_ref());
    let limit = deadline.map(|deadline| (deadline.limit, deadline.set_by.clone()));
    // An attempt after the first began later than its call.
    let since = deadline.map(|deadline| deadline.at.before(deadline.limit));
    let about = in_words(seen, terms.as_deref());
    Finding { limit, since: since.unwrap_or(about.since), ..about }
}

/// It gave no sign of life for too long.
pub(super) fn idle(id: CallId, view: &View, now: Tick) -> Sighting {
    about(idle_in_words, IncidentKind::Idle, id, view, now.since(view.beat), now)
}

fn idle_in_words(seen: &Sighting) -> Finding {
    let terms = terms(seen);
    let limit = terms.as_ref().and_then(|terms| Some((terms.policy.idle.value?, terms.policy.origin(seen.site?, |policy| &policy.idle))));
    let said = Some(seen.said.as_str()).filter(|said| !said.is_empty());
    let note = said.map(|said| format!("the last sign of life said: {said}"));
    Finding { limit, note, ..in_words(seen, terms.as_deref()) }
}

/// Its poll does not return.
pub(super) fn blocked(polled: &Polled, elapsed: Duration, now: Tick) -> Sighting {
    about(blocked_in_words, IncidentKind::Blocked, polled.id, &polled.view, elapsed, now)
}

fn blocked_in_words(seen: &Sighting) -> Finding {
    let terms = terms(seen);
    let after = terms.as_ref().and_then(|terms| {
        let policy = &terms.policy;
        Some((policy.blocked_after.value, policy.origin(seen.site?, |policy| &policy.blocked_after)))
    });
    Finding { limit: after, thread: Some(seen.name.as_str().to_owned()), ..in_words(seen, terms.as_deref()) }
}

/// Its body panicked.
pub(super) fn panicked(id: CallId, view: &View, now: Tick) -> Sighting {
    about(panicked_in_words, IncidentKind::Panicked, id, view, now.since(view.started), now)
}

fn panicked_in_words(seen: &Sighting) -> Finding {
    in_words(seen, terms(seen).as_deref())
}

fn about(words: fn(&Sighting) -> Finding, kind: IncidentKind, id: CallId, view: &View, elapsed: Duration, now: Tick) -> Sighting {
    let record = flight::running(id);
    let poll = view.poll.or_else(|| view.polling().then(|| flight::poll_of(id))?);
    let (thread, held) = (poll.map_or(view.thread, |poll| poll.thread), poll.is_some() && is_held(kind, view));
    Sighting {
        site: view.site,
        plan: record.and_then(Record::plan),
        terms: record.and_then(Record::shown),
        caller: record.and_then(Record::parent).and_then(flight::running).and_then(Record::shown),
        said: record.map_or(crate::text::Text::EMPTY, Record::said),
        thread,
        name: flight::thread::label(thread),
        held,
        // Asked first: the thread may move on while the calls are copied.
        awaited: poll.filter(|_| held).and_then(|poll| stack::of_poll(id, poll)),
        roll: roll(id, now),
        call: Some((id, View { poll, ..*view })),
        ..Sighting::process(words, kind, now, elapsed)
    }
}

/// The terms of the call; of one that has no record, those that its function has now.
fn terms(seen: &Sighting) -> Option<Arc<Terms>> {
    let (_, view) = seen.call?;
    seen.terms.clone().or_else(|| {
        let plan = seen.plan.or_else(|| Some(Plan::of(view.site?)?.0))?;
        Some(Arc::new(Terms::plain(plan, view.started, seen.caller.as_deref())))
    })
}

fn in_words(seen: &Sighting, terms: Option<&Terms>) -> Finding {
    let call = seen.call.as_ref();
    let held = call.filter(|_| seen.held && seen.awaited.is_none());
    Finding {
        site: seen.site,
        call: call.map(|(id, _)| id.number()),
        attempt: call.map_or(1, |(_, view)| view.attempt),
        attempts: terms.map_or(1, |terms| terms.attempts),
        // Where nobody was free to be asked then.
        threads: held.and_then(|(id, view)| stack::of_poll(*id, view.poll?)),
        polled_by: seen.thread,
        paused_clock: call.is_some_and(|(_, view)| view.paused_clock),
        ..Finding::process(seen.kind, seen.at, seen.elapsed)
    }
}

/// Whether the call holds a thread, so that the thread's stack says where. A call that looks after itself, or has panicked, is not stuck.
fn is_held(kind: IncidentKind, view: &View) -> bool {
    view.polling() && !(view.paused_clock && kind != IncidentKind::Blocked) && kind != IncidentKind::Panicked
}

thread_local!(static ROLLS: RefCell<Rolls> = const { RefCell::new(Rolls::new()) });

/// Sets aside what this thread's looks take.
pub(super) fn start() {
    ROLLS.with_borrow_mut(Rolls::reserve);
}

fn roll(id: CallId, now: Tick) -> Option<(Arc<Roll>, bool)> {
    ROLLS.try_with(|rolls| rolls.try_borrow_mut().ok()?.show(id, now)).ok().flatten()
}

/// The callers of a call whose sighting was made at this moment, before the call ended.
pub(super) fn path(seen: &mut Sighting) {
    if let (None, Some((id, _))) = (&seen.roll, &seen.call) {
        seen.roll = ROLLS.try_with(|rolls| rolls.try_borrow().ok()?.path(*id)).ok().flatten();
    }
}
