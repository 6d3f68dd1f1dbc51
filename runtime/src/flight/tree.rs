//! The running calls as a tree: what [`snapshot`](crate::snapshot) returns and reports print.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::id::CallId;
use super::record::Record;
use super::view::View;
use crate::clock::Tick;

/// The running calls at one moment, depth first: a child follows its parent.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The calls; roots have depth 0.
    pub calls: Vec<Node>,
}

/// One running call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// Unique in this process.
    pub id: u64,
    /// How deep it is nested in other guarded calls.
    pub depth: usize,
    /// The function's name.
    pub function: &'static str,
    /// Its source file.
    pub file: &'static str,
    /// Its line.
    pub line: u32,
    /// How long the call has run.
    pub elapsed: Duration,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The time until its deadline; `None` without one, zero when it has passed.
    pub remaining: Option<Duration>,
    /// How often its future was polled.
    pub polls: u64,
    /// The thread that polls it right now, and for how long.
    pub polling: Option<Polling>,
    /// The last `beat_with`, and how long ago the last beat was.
    pub beat: Option<Beat>,
    /// Whether no guarded call runs inside it: it is where its task stands.
    pub current: bool,
    /// Whether its caller has ended while it runs on.
    pub detached: bool,
}

/// A poll that has not returned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Polling {
    /// The thread's name, or its number.
    pub thread: String,
    /// For how long.
    pub elapsed: Duration,
}

/// The last sign of life of a body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Beat {
    /// How long ago.
    pub ago: Duration,
    /// What `beat_with` said, if it was used.
    pub progress: Option<String>,
}

/// A call, its record if it has one, and what was seen of it.
pub(super) type Seen = (CallId, Option<&'static Record>, View);

impl Tree {
    /// Orders the calls, whose threads are `named`: parents before their children, older before younger.
    pub(super) fn of(mut views: Vec<Seen>, named: impl Fn(u32) -> String, now: Tick) -> Self {
        views.sort_by_key(|(_, _, view)| view.started);
        let running: HashMap<CallId, usize> = views.iter().enumerate().map(|(at, (id, _, _))| (*id, at)).collect();
        let mut children: HashMap<Option<CallId>, Vec<usize>> = HashMap::new();
        for (at, (_, _, view)) in views.iter().enumerate() {
            children.entry(view.parent.filter(|parent| running.contains_key(parent))).or_default().push(at);
        }
        let mut tree = Self::default();
        let mut open: Vec<(usize, usize, Tick)> = children.get(&None).into_iter().flatten().rev().map(|at| (*at, 0, Tick::NEVER)).collect();
        while let Some((at, depth, callers)) = open.pop() {
            let (id, record, view) = &views[at];
            let deadline = if view.within { view.deadline.min(callers) } else { view.deadline };
            tree.calls.extend(Node::of(*id, *record, &View { deadline, ..*view }, depth, &named, now));
            open.extend(children.get(&Some(*id)).into_iter().flatten().rev().map(|child| (*child, depth + 1, deadline)));
        }
        for at in 0..tree.calls.len() {
            tree.calls[at].current = tree.calls.get(at + 1).is_none_or(|next| next.depth <= tree.calls[at].depth);
        }
        tree
    }
}

impl Node {
    fn of(id: CallId, record: Option<&Record>, view: &View, depth: usize, named: impl Fn(u32) -> String, now: Tick) -> Option<Self> {
        let site = view.site?;
        // A call under tokio's paused clock is told in that time, which does not pass here.
        let beaten = view.beat > view.started;
        // Its record may be another call's by now.
        let progress = record.filter(|record| record.is(view.generation)).and_then(Record::progress);
        Some(Self {
            id: id.number(),
            depth,
            function: site.name(),
            file: site.file(),
            line: site.line(),
            elapsed: now.since(view.started),
            attempt: view.attempt,
            remaining: (view.deadline != Tick::NEVER).then(|| view.deadline.since(now)),
            polls: view.polls / 2,
            polling: view.poll.map(|poll| Polling { thread: named(poll.thread), elapsed: now.since(poll.since) }),
            beat: (beaten || progress.is_some()).then(|| Beat { ago: now.since(view.beat), progress }),
            current: false,
            detached: depth == 0 && view.parent.is_some(),
        })
    }
}

impl fmt::Display for Tree {
    /// One line a call, indented by depth: `function  elapsed, what it does`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.calls.iter().try_for_each(|call| writeln!(f, "{call}"))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node { depth, function, file, line, elapsed, attempt, remaining, polls, polling, beat, current, detached, .. } = self;
        write!(f, "{:indent$}{function}  [{}", "", short(*elapsed), indent = depth * 2)?;
        match remaining {
            Some(Duration::ZERO) => f.write_str(", past its deadline")?,
            Some(remaining) => write!(f, ", {} left", short(*remaining))?,
            None => {}
        }
        if *attempt > 1 {
            write!(f, ", attempt {attempt}")?;
        }
        match polling {
            Some(polling) => write!(f, ", polling on {} for {}", polling.thread, short(polling.elapsed))?,
            None => write!(f, ", waiting after {polls} polls")?,
        }
        if let Some(beat) = beat {
            write!(f, ", beat {} ago", short(beat.ago))?;
            if let Some(progress) = &beat.progress {
                write!(f, ": {progress}")?;
            }
        }
        // A call alone is where it stands.
        if *current && *depth > 0 {
            f.write_str(", current")?;
        }
        if *detached {
            f.write_str(", detached")?;
        }
        write!(f, "]  {file}:{line}")
    }
}

fn short(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}
