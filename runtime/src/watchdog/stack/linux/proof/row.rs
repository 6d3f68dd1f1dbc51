//! What became of the captures of one situation, as one line that is printed and read alike.

use std::fmt;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) situation: String,
    pub(super) captures: u64,
    /// Stacks that show the function that is stuck.
    pub(super) found: u64,
    /// Stacks that reach to where the thread began.
    pub(super) whole: u64,
    /// Taken from outside, and by signal.
    pub(super) asleep: u64,
    pub(super) signal: u64,
    /// Not taken: the thread blocks the signal, did not answer, is not known.
    pub(super) blocked: u64,
    pub(super) silent: u64,
    pub(super) unknown: u64,
    /// System calls of the victim that were interrupted.
    pub(super) interrupted: u64,
    /// Pieces taken from the heap while capturing.
    pub(super) heap: u64,
    /// The process ended by itself, or never.
    pub(super) crashed: u64,
    pub(super) stuck: u64,
    pub(super) median: Duration,
}

impl Row {
    pub(super) const HEAD: &str = "\
| situation | captures | found | to the root | asleep | signal | signal blocked | timed out | unknown | EINTR | heap | crashed | deadlocked | median us |\n\
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = line.get(line.find("| ")?..)?.split('|').map(str::trim).skip(1);
        let situation = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        Some(Self {
            situation,
            captures: number()?,
            found: number()?,
            whole: number()?,
            asleep: number()?,
            signal: number()?,
            blocked: number()?,
            silent: number()?,
            unknown: number()?,
            interrupted: number()?,
            heap: number()?,
            crashed: number()?,
            stuck: number()?,
            median: Duration::from_micros(number()?),
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { situation, captures, found, whole, asleep, signal, blocked, silent, unknown, interrupted, heap, crashed, stuck, median } =
            self;
        write!(f, "| {situation} | {captures} | {found} | {whole} | {asleep} | {signal} | {blocked} | {silent} | {unknown} ")?;
        write!(f, "| {interrupted} | {heap} | {crashed} | {stuck} | {} |", median.as_micros())
    }
}

#[test]
fn a_row_is_read_as_it_is_printed() {
    let row = Row { situation: "in a handler".to_owned(), captures: 7, found: 6, median: Duration::from_micros(12), ..Row::default() };
    assert_eq!(Row::read(&format!("test x ... {row}")), Some(row));
    assert_eq!(Row::read("test x ... ok"), None);
    assert!(Row::HEAD.lines().all(|line| Row::read(line).is_none()));
}
