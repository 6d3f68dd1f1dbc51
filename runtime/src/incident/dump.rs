//! What the process does now and did last, without anything being wrong: the flight recorder, put down on demand.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::report::{self, FunctionProgress, RecentEvent};
use super::{Program, SystemState, ThreadState, program, render, store, threads};
use crate::clock::Tick;
use crate::flight::{self, RuntimeState, Tree};

/// How long a dump waits for names and lines in native stacks.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same while a panic waits for the dump.
const HASTE: Duration = Duration::from_millis(300);
/// So far back a dump tells what was withheld from the process.
const MINUTE: Duration = Duration::from_secs(60);
/// So many dumps are kept in a folder.
const KEPT: usize = 20;

/// The running calls, everything that the flight recorder holds, the host and the program, at one moment.
///
/// [`Display`](fmt::Display) is for a person, [`to_json`](Self::to_json) for machines. Neither holds argument values or memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// Why it was made.
    pub reason: DumpReason,
    /// When it was made.
    pub time: SystemTime,
    /// The running calls.
    pub calls: Tree,
    /// The tokio runtimes.
    pub runtimes: Vec<RuntimeState>,
    /// What the threads do that poll guarded calls or belong to a tokio runtime, with their native stacks.
    pub threads: Vec<ThreadState>,
    /// Further such threads that were not looked at: a dump shows 64.
    pub threads_left_out: usize,
    /// All events that the flight recorder holds, oldest first.
    pub events: Vec<RecentEvent>,
    /// How far each function has come, the most recently active first.
    pub functions: Vec<FunctionProgress>,
    /// The host and this process.
    pub system: SystemState,
    /// The program.
    pub program: Program,
}

/// Why a [`Dump`] was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DumpReason {
    /// [`dump`] was called.
    Asked,
    /// The signal of this number came: [`Builder::dump_on_signal`](crate::Builder::dump_on_signal).
    Signal(i32),
    /// A thread panicked there: [`Builder::dump_on_panic`](crate::Builder::dump_on_panic).
    Panic(String),
    /// The program ends: [`Builder::dump_at_exit`](crate::Builder::dump_at_exit).
    Exit,
}

impl fmt::Display for DumpReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DumpReason::Asked => f.write_str("asked for"),
            DumpReason::Signal(signal) => write!(f, "signal {signal}"),
            DumpReason::Panic(place) => write!(f, "panic at {place}"),
            DumpReason::Exit => f.write_str("the program ends"),
        }
    }
}

/// What this process does now and did last.
///
/// Takes up to a second, most of it for the line tables of native stacks, and no lock that a guarded call could hold.
///
/// # Examples
///
/// ```
/// let dump = backstop::dump();
/// assert!(dump.to_string().contains("Running calls"));
/// assert_eq!(dump.to_json()["version"], 1);
/// ```
#[must_use]
pub fn dump() -> Dump {
    Dump::make(DumpReason::Asked)
}

impl Dump {
    pub(super) fn make(reason: DumpReason) -> Self {
        let now = Tick::now();
        let (threads, threads_left_out) = threads::all(if matches!(reason, DumpReason::Panic(_)) { HASTE } else { PATIENCE });
        Self {
            reason,
            time: SystemTime::now(),
            calls: flight::snapshot(),
            runtimes: flight::runtimes(),
            threads,
            threads_left_out,
            events: report::events(usize::MAX, now),
            functions: report::functions(usize::MAX, now),
            system: SystemState::read(now.before(MINUTE)),
            program: program::program(),
        }
    }

    /// The dump as JSON, version 1; its schema is in the documentation.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        render::dump_json(self)
    }

    /// Writes it as text and as JSON into a folder, which keeps the newest 20; the path of the text.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made or written.
    pub fn write_to(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = store::dump_path(folder, self.time, &self.program);
        store::write(&path, &self.to_string(), &self.to_json(), KEPT)?;
        store::settle(&path)?;
        Ok(path)
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::dump_text(self, f)
    }
}
