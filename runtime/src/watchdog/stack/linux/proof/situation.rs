//! A way to be stuck, and what its captures are held to.

use super::row::Row;

/// A way to be stuck.
#[derive(Clone, Copy)]
pub(super) struct Situation {
    pub(super) name: &'static str,
    pub(super) start: fn(),
    /// What its stack must show.
    pub(super) function: &'static str,
    /// Of so many thousand.
    pub(super) share: u64,
    /// The capture holds the heap meanwhile.
    pub(super) holds_heap: bool,
    /// The thread must say nothing, because it blocks the signal and runs.
    pub(super) refuses: bool,
}

/// What a row is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rigour {
    /// Many captures on a machine with time: one that got no answer is one that was not found.
    Proof,
    /// Many on a machine that has none: up to one in twenty may get no answer.
    Loaded,
    /// A few, among other tests, on any machine: one may be lost, and half of them may get no answer.
    Short,
}

impl Situation {
    pub(super) const fn new(name: &'static str, function: &'static str, start: fn()) -> Self {
        Self { name, start, function, share: 999, holds_heap: false, refuses: false }
    }

    /// What is wrong with a row.
    pub(super) fn judge(&self, row: &Row, rigour: Rigour) -> Option<String> {
        let misses = row.captures * (1000 - self.share);
        let (lost, may_be_silent) = match rigour {
            Rigour::Proof => (misses / 1000, 0),
            Rigour::Loaded => (misses / 1000, row.captures / 20),
            Rigour::Short => (1 + misses / 20, row.captures / 2),
        };
        let answered = if self.refuses { row.blocked } else { row.found };
        let excused = row.silent.min(may_be_silent);
        if row.crashed + row.stuck > 0 {
            Some("crashed or deadlocked".to_owned())
        } else if answered + excused + lost < row.captures {
            Some(format!("{answered} of {} captures were as expected, {} got no answer", row.captures, row.silent))
        } else if row.interrupted > 0 {
            Some(format!("{} system calls were interrupted", row.interrupted))
        } else if row.heap > 0 {
            Some(format!("capturing took from the heap {} times", row.heap))
        } else {
            None
        }
    }
}

#[test]
fn a_capture_without_an_answer_counts_as_not_found_unless_the_machine_is_busy() {
    let situation = &Situation::new("x", "x", || ());
    let passes = |found, silent, rigour| {
        let row = Row { captures: 10_000, found, silent, ..Row::default() };
        situation.judge(&row, rigour).is_none()
    };
    assert!(passes(9990, 10, Rigour::Proof) && !passes(9989, 11, Rigour::Proof));
    assert!(passes(9490, 500, Rigour::Loaded) && !passes(9489, 501, Rigour::Loaded) && !passes(9989, 0, Rigour::Loaded));
    let short = |found, silent| situation.judge(&Row { captures: 5, found, silent, ..Row::default() }, Rigour::Short).is_none();
    assert!(short(2, 2) && short(4, 0) && !short(3, 0));
}
