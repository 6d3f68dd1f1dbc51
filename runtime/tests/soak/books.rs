//! The callers' books: what they called, and how it ended for them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use backstop::{Outcome, TimeoutKind};

use crate::common;
use crate::functions::{Answer, Failure};

/// The functions.
pub const NAMES: [&str; 9] = [
    "soak.ready",
    "soak.waits",
    "soak.beats",
    "soak.tidies",
    "soak.tries_again",
    "soak.isolated",
    "soak.blocks",
    "soak.let_in",
    "soak.outer",
];

static BOOKS: [Book; NAMES.len()] = [const { Book::new() }; NAMES.len()];

/// What the callers of one function saw. They cannot tell a late value from another: both are `ok` here.
struct Book {
    started: AtomicU64,
    ended: [AtomicU64; Outcome::ALL.len()],
}

impl Book {
    const fn new() -> Self {
        Self { started: AtomicU64::new(0), ended: [const { AtomicU64::new(0) }; Outcome::ALL.len()] }
    }

    fn agrees_with(&self, name: &str) {
        let stats = common::stats(name);
        let mut counted = stats.outcomes;
        counted[Outcome::Ok as usize] += std::mem::take(&mut counted[Outcome::Late as usize]);
        let seen = self.ended.each_ref().map(|count| count.load(Relaxed));
        assert_eq!(seen, counted, "{name}: what the callers saw, and what was counted, as {:?}", Outcome::ALL);
        assert_eq!((self.started.load(Relaxed), 0), (counted.iter().sum(), stats.in_flight), "{name}: started, and in flight");
    }
}

/// Compares all books with the library's counters.
pub fn agree() {
    for (name, book) in NAMES.iter().zip(&BOOKS) {
        book.agrees_with(name);
    }
}

/// Writes down how a call ends, also where it does not return.
struct Pen(Option<&'static Book>);

impl Pen {
    fn write(&mut self, outcome: Outcome) {
        if let Some(book) = self.0.take() {
            book.ended[outcome as usize].fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.write(if std::thread::panicking() { Outcome::Panicked } else { Outcome::Cancelled });
    }
}

/// A call, written down.
pub async fn recorded(name: &'static str, call: impl Future<Output = Answer>) -> Answer {
    let place = NAMES.iter().position(|known| *known == name).unwrap_or_else(|| panic!("{name} is not in the list"));
    BOOKS[place].started.fetch_add(1, Relaxed);
    let mut pen = Pen(Some(&BOOKS[place]));
    let answer = call.await;
    pen.write(match &answer {
        Ok(()) => Outcome::Ok,
        Err(Failure::Own) => Outcome::Error,
        Err(Failure::Timeout(error)) => match error.kind() {
            // A value that came too late, under a policy that makes it an error.
            TimeoutKind::Late => Outcome::Ok,
            TimeoutKind::Idle => Outcome::Idle,
            TimeoutKind::Rejected(_) => Outcome::Rejected,
            _ => Outcome::Timeout,
        },
    });
    answer
}
