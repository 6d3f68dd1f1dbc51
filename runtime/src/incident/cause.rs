//! A guess at the cause, in one sentence: what the facts in the report add up to. Pure.

use std::time::Duration;

use super::{Finding, IncidentKind, SystemState, ThreadState};
use crate::flight::{Node, Polling, RuntimeState, Tree};
use crate::host::Verdict;
use crate::spell::spell;

/// A poll that lasts longer than this is no waiting.
const BLOCKING: Duration = Duration::from_millis(500);

/// What probably happened: first what excuses the body, where something does.
pub(super) fn guess(finding: &Finding, verdict: &Verdict, tree: &Tree, system: &SystemState) -> String {
    let mut guess = match verdict.excuse() {
        Some(excuse) => excused(excuse, finding, tree),
        None => code(finding, tree),
    };
    if let Some(starved) = system.starved() {
        guess.push_str("; the host is starved (");
        guess.push_str(&starved);
        guess.push_str("), which slows every program on it");
    }
    guess
}

fn code(finding: &Finding, tree: &Tree) -> String {
    let node = subject(finding, tree);
    match finding.kind {
        IncidentKind::Limit | IncidentKind::Total => node.map_or_else(waits, |place| stuck(tree, place)),
        IncidentKind::Idle => silent(node.map(|place| &tree.calls[place])),
        IncidentKind::Late => "the body kept its thread until after its limit: a computation or a blocking call without an await".into(),
        IncidentKind::Blocked => blocked(finding.thread.as_deref()),
        IncidentKind::Orphan => "blocking work cannot be cancelled: it runs on, although its caller has gone".into(),
        IncidentKind::Panicked => "the body panicked; the panic went on to the caller".into(),
        IncidentKind::Device => "the device could not do what the function asked of it: the note says what, and what followed".into(),
        IncidentKind::RuntimeStalled => runtime(finding.runtimes.first()),
        IncidentKind::WatchdogLate => finding.note.clone().unwrap_or_else(|| "the watchdog's own thread did not run in time".into()),
    }
}

/// The excuse, and where the call stood meanwhile, without a word against it.
fn excused(excuse: String, finding: &Finding, tree: &Tree) -> String {
    let stood = subject(finding, tree).map(|place| standing(tree, place));
    let stood = match (finding.kind, stood) {
        (IncidentKind::Limit | IncidentKind::Total | IncidentKind::Idle, Some(Standing::Polling(polling))) => {
            on_its_thread(&polling.thread)
        }
        (IncidentKind::Limit | IncidentKind::Total | IncidentKind::Idle, Some(Standing::Inside(inner))) => {
            format!("it waited for `{}`", inner.function)
        }
        (IncidentKind::Blocked, _) if finding.thread.is_some() => on_its_thread(finding.thread.as_deref().unwrap_or_default()),
        (IncidentKind::RuntimeStalled, _) => match inside(finding.runtimes.first()) {
            Some(inside) => format!("guarded calls were on its workers: {inside}"),
            None => return excuse,
        },
        _ => return excuse,
    };
    format!("{excuse}; {stood}")
}

fn on_its_thread(thread: &str) -> String {
    format!("its poll was on the thread `{thread}`")
}

/// The place of the call that the finding is about.
fn subject(finding: &Finding, tree: &Tree) -> Option<usize> {
    tree.calls.iter().position(|node| Some(node.id) == finding.call)
}

/// What the thread does that the incident is about, as far as its stack tells.
pub(super) fn doing(threads: &[ThreadState]) -> Option<String> {
    let thread = threads.iter().find(|thread| thread.subject)?;
    let innermost = thread.stack.frames.first()?.function.as_deref();
    let place = thread.stack.own_function().or(innermost);
    let place = place.map(|function| format!(" in `{function}`")).unwrap_or_default();
    Some(match (&thread.system_call, thread.state?) {
        (Some(call), _) => format!("the thread is{place}, in the system call `{call}`"),
        (None, "running") => format!("the thread computes{place}"),
        (None, state) => format!("the thread is{place}, {state}"),
    })
}

fn waits() -> String {
    "the body waited for something that did not come: a peer, a lock, a channel".to_owned()
}

/// Where a call is that has not come back.
enum Standing<'a> {
    /// It blocks its thread.
    Polling(&'a Polling),
    /// A call inside it has not come back either.
    Inside(&'a Node),
    /// Its task has never polled it.
    Unpolled,
    Waiting,
}

fn standing(tree: &Tree, place: usize) -> Standing<'_> {
    let node = &tree.calls[place];
    // In its first poll a call has waited for nothing yet.
    let polling = node.polling.as_ref().filter(|polling| polling.elapsed >= BLOCKING || node.polls == 0);
    match (polling, innermost(tree, place)) {
        (Some(polling), _) => Standing::Polling(polling),
        (None, Some(inner)) => Standing::Inside(inner),
        (None, None) if node.polls == 0 => Standing::Unpolled,
        (None, None) => Standing::Waiting,
    }
}

/// Why a call has not come back.
fn stuck(tree: &Tree, place: usize) -> String {
    match standing(tree, place) {
        Standing::Polling(Polling { thread, elapsed }) => {
            format!("the body has not given its thread `{thread}` back for {}", spell(*elapsed))
        }
        Standing::Inside(inner) => format!("it waits for `{}`, which has run for {}", inner.function, spell(inner.elapsed)),
        Standing::Unpolled => "its future was never polled: the task that owns it is not running".to_owned(),
        Standing::Waiting => waits(),
    }
}

/// The deepest call that runs inside the one at `place`, the longest of them where several do.
fn innermost(tree: &Tree, place: usize) -> Option<&Node> {
    let depth = tree.calls[place].depth;
    let inside = tree.calls[place + 1..].iter().take_while(|node| node.depth > depth);
    inside.max_by_key(|node| (node.depth, node.elapsed))
}

fn silent(node: Option<&Node>) -> String {
    let Some(beat) = node.and_then(|node| node.beat.as_ref()) else {
        return "the body has never called `beat()`: either it hangs, or it should say that it is alive".to_owned();
    };
    match &beat.progress {
        Some(progress) => format!("the body stopped after `{progress}`, {} ago", spell(beat.ago)),
        None => format!("the body stopped {} ago, after its last beat", spell(beat.ago)),
    }
}

fn blocked(thread: Option<&str>) -> String {
    let thread = thread.map(|thread| format!(" `{thread}`")).unwrap_or_default();
    format!("the body blocks its thread{thread}: a computation or a blocking call without an await; `spawn_blocking` is the place for it")
}

fn runtime(runtime: Option<&RuntimeState>) -> String {
    match (runtime, inside(runtime)) {
        (_, Some(inside)) => format!("every worker is blocked; guarded calls that block: {inside}"),
        (Some(runtime), None) if runtime.flavor == "current_thread" => {
            "its thread is blocked outside of guarded calls, or nobody drives it by `block_on` although calls wait in it".to_owned()
        }
        (_, None) => "every worker is blocked outside of guarded calls".to_owned(),
    }
}

/// The guarded calls that the threads of a runtime are in; `None` where there are none.
fn inside(runtime: Option<&RuntimeState>) -> Option<String> {
    let polls = runtime.iter().flat_map(|runtime| &runtime.polls);
    let polls: Vec<String> = polls.map(|poll| format!("`{}` on {}", poll.function, poll.thread)).collect();
    (!polls.is_empty()).then(|| polls.join(", "))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::super::testing::{finding, node, polling, stalled_runtime, thread};
    use super::*;
    use crate::host::testing::verdicts;

    fn code() -> Verdict {
        Verdict::of_the_code("it is its own")
    }

    fn guess_for(kind: IncidentKind, tree: Vec<Node>) -> String {
        let finding = Finding { call: Some(1), ..finding(kind) };
        guess(&finding, &code(), &Tree { calls: tree }, &SystemState::default())
    }

    /// Every kind that the host can be to blame for, under everything that it can do; and the same where nothing excuses the body.
    #[test]
    fn what_excuses_the_body_is_said_first_and_nothing_against_the_body() {
        let mut told = String::new();
        let polls = || Node { polling: Some(polling("worker-1", 31)), ..node(1, 0, "outer") };
        let (waits, inside) = (vec![node(1, 0, "outer")], vec![node(1, 0, "outer"), node(2, 1, "inner")]);
        for (name, verdict) in verdicts() {
            let excuse = verdict.excuse();
            let _ = writeln!(told, "{name}: EXCUSE = {}", excuse.as_deref().unwrap_or("none"));
            let mut tell = |what: &str, kind, calls: &[Node]| {
                let mut finding = Finding { call: Some(1), thread: Some("worker-1".into()), ..finding(kind) };
                finding.runtimes = if kind == IncidentKind::RuntimeStalled { vec![stalled_runtime("outer")] } else { Vec::new() };
                let mut guess = guess(&finding, &verdict, &Tree { calls: calls.to_vec() }, &SystemState::default());
                if let Some(excuse) = &excuse {
                    guess = guess.replacen(excuse, "EXCUSE", 1);
                }
                let _ = writeln!(told, "  {what}: {guess}");
            };
            tell("limit, waits", IncidentKind::Limit, &waits);
            tell("limit, inside", IncidentKind::Limit, &inside);
            tell("limit, polls", IncidentKind::Limit, &[polls()]);
            tell("total, inside", IncidentKind::Total, &inside);
            tell("idle", IncidentKind::Idle, &waits);
            tell("late", IncidentKind::Late, &[polls()]);
            tell("blocked", IncidentKind::Blocked, &[polls()]);
            tell("runtime", IncidentKind::RuntimeStalled, &[polls()]);
            tell("watchdog", IncidentKind::WatchdogLate, &[]);
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn a_library_that_is_stuck_itself_does_not_blame_the_host() {
        let note = "the reporter is stuck: in the application's log".to_owned();
        let stuck = Finding { note: Some(note.clone()), ..finding(IncidentKind::WatchdogLate) };
        assert_eq!(guess(&stuck, &code(), &Tree::default(), &SystemState::default()), note);
    }

    #[test]
    fn a_call_that_waits_for_another_names_the_innermost() {
        let tree = vec![node(1, 0, "outer"), node(2, 1, "middle"), node(3, 2, "inner"), node(4, 0, "unrelated"), node(5, 1, "deep")];
        assert!(guess_for(IncidentKind::Limit, tree).contains("waits for `inner`"));
    }

    #[test]
    fn a_call_that_blocks_is_not_said_to_wait() {
        let tree = vec![Node { polling: Some(polling("worker-1", 4)), ..node(1, 0, "outer") }, node(2, 1, "inner")];
        assert!(guess_for(IncidentKind::Limit, tree).contains("not given its thread `worker-1` back for 4s"));
    }

    #[test]
    fn a_stalled_runtime_names_the_guarded_calls_that_hold_its_workers() {
        let mut stalled = finding(IncidentKind::RuntimeStalled);
        stalled.runtimes = vec![stalled_runtime("api::fetch")];
        let cause = |finding: &Finding| guess(finding, &code(), &Tree::default(), &SystemState::default());
        assert_eq!(cause(&stalled), "every worker is blocked; guarded calls that block: `api::fetch` on worker-1");
        stalled.runtimes[0].polls.clear();
        assert_eq!(cause(&stalled), "every worker is blocked outside of guarded calls");
    }

    #[test]
    fn the_stack_says_what_a_blocked_thread_does() {
        let doing = |thread| doing(&[thread]);
        let sleeping = thread(&["std::thread::sleep", "app::load"]);
        assert_eq!(doing(sleeping.clone()).as_deref(), Some("the thread is in `app::load`, in the system call `clock_nanosleep`"));
        let computing = ThreadState { state: Some("running"), system_call: None, ..sleeping.clone() };
        assert_eq!(doing(computing).as_deref(), Some("the thread computes in `app::load`"));
        assert_eq!(doing(ThreadState { subject: false, ..sleeping }), None);
    }

    #[test]
    fn a_call_that_blocks_in_its_first_poll_was_polled() {
        let blocks = Node {
            polling: Some(Polling { elapsed: Duration::from_millis(200), ..polling("worker-1", 0) }),
            polls: 0,
            ..node(1, 0, "outer")
        };
        assert!(guess_for(IncidentKind::Limit, vec![blocks]).contains("not given its thread `worker-1` back for 200ms"));
        let waits = Node { polls: 0, ..node(1, 0, "outer") };
        assert!(guess_for(IncidentKind::Limit, vec![waits]).contains("never polled"));
    }

    #[test]
    fn a_starved_host_is_part_of_the_guess() {
        let system = SystemState { cpus: Some(2), load: Some([30.0, 1.0, 1.0]), ..SystemState::default() };
        let guess = guess(&finding(IncidentKind::Late), &code(), &Tree::default(), &system);
        assert!(guess.contains("kept its thread") && guess.contains("load 30.0 on 2 CPUs"), "{guess}");
    }
}
