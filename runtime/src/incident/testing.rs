//! Findings, calls and incidents for tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Awaited, Finding, Incident, IncidentId, IncidentKind, Looked, NativeStack, StackFrame, ThreadState, Trust};
use crate::clock::Tick;
use crate::flight::{GuardedPoll, Node, Polling, RuntimeState, Tree};
use crate::site::{Site, Submitted};

pub(crate) static FETCH: Site = Site::timeout_async("test::fetch").at("src/fetch.rs", 41, 10);
inventory::submit! { Submitted(&FETCH) }

pub(crate) fn finding(kind: IncidentKind) -> Finding {
    Finding { call: Some(2), ..Finding::of(kind, &FETCH, Tick::now(), Duration::from_secs(30)) }
}

pub(crate) fn incident(id: u64, kind: IncidentKind) -> Incident {
    let tree = Tree { calls: vec![node(1, 0, "test::trade"), node(2, 1, "test::fetch")] };
    let runtimes = vec![stalled_runtime("test::fetch")];
    let threads = Awaited::default();
    threads.tell(Looked { threads: Arc::new([thread(&["std::thread::sleep", "test::fetch"])]), left_out: 3 }, true);
    let finding =
        Finding { tree: Some(tree), runtimes, thread: Some("worker-1".into()), threads: Some(Arc::new(threads)), ..finding(kind) };
    Incident::join(IncidentId(id), finding, kind.severity())
}

pub(crate) fn node(id: u64, depth: usize, function: &'static str) -> Node {
    Node {
        id,
        depth,
        function,
        file: "src/lib.rs",
        line: u32::try_from(id).unwrap(),
        elapsed: Duration::from_secs(1),
        attempt: 1,
        remaining: None,
        polls: 1,
        polling: None,
        beat: None,
        current: false,
        detached: false,
    }
}

pub(crate) fn polling(thread: &str, seconds: u64) -> Polling {
    Polling { thread: thread.to_owned(), elapsed: Duration::from_secs(seconds) }
}

/// A runtime of two workers, one of them inside `function`.
pub(crate) fn stalled_runtime(function: &'static str) -> RuntimeState {
    RuntimeState {
        name: "main",
        flavor: "multi_thread",
        workers: 2,
        parked: 0,
        tasks: 12,
        queued: 3,
        stalled: Some(Duration::from_secs(5)),
        polls: vec![GuardedPoll { thread: "worker-1".to_owned(), function, elapsed: Duration::from_secs(6) }],
    }
}

/// A thread that sleeps, and what its functions are called, the innermost first.
pub(crate) fn thread(functions: &[&str]) -> ThreadState {
    let frames = functions.iter().enumerate().map(|(index, function)| frame(index, function)).collect();
    ThreadState {
        name: "worker-1".into(),
        tid: 42,
        subject: true,
        state: Some("sleeping"),
        system_call: Some("clock_nanosleep".into()),
        waits_in: Some("hrtimer_nanosleep".into()),
        stack: NativeStack { frames, complete: true, looks: 3, ..NativeStack::default() },
    }
}

pub(crate) fn frame(index: usize, function: &str) -> StackFrame {
    StackFrame {
        index,
        function: Some(function.into()),
        module: "app".into(),
        offset: 0x1234,
        file: Some("src/load.rs".into()),
        line: Some(7),
        inlined: false,
        trust: Trust::Tables,
        steady: true,
    }
}

/// A new, empty folder for one test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("backstop-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
