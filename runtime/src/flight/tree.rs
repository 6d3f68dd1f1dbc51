//! The running calls as a tree: what [`snapshot`](crate::snapshot) returns and reports print.

use std::time::Duration;

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
