//! The running calls as they stand at one moment, copied out of the table. Takes nothing from the heap where there is room; a tree is made of
//! the copy by whoever may wait.

use std::collections::HashMap;

use super::id::CallId;
use super::polls::polls;
use super::tree::{Seen, Tree};
use super::view::{Poll, View};
use super::{running, table, thread};
use crate::clock::Tick;

/// See the module.
#[derive(Default)]
pub(crate) struct Roll {
    at: Tick,
    seen: Vec<Seen>,
    polls: Vec<(CallId, Poll)>,
}

impl Roll {
    /// With room for so many calls.
    pub(crate) fn with_room(most: usize) -> Self {
        Self { at: Tick::default(), seen: Vec::with_capacity(most), polls: Vec::with_capacity(most) }
    }

    pub(crate) fn clear(&mut self, now: Tick) {
        self.at = now;
        self.seen.clear();
        self.polls.clear();
    }

    /// Copies all running calls; `most` of them, where there are more.
    pub(crate) fn read(&mut self, most: usize, now: Tick) {
        self.clear(now);
        for polled in polls().take(most) {
            self.polls.push((polled.id, polled.poll));
            if polled.record.is_none() {
                self.seen.push((polled.id, None, polled.view));
            }
        }
        let waiting = table::views().filter(|(_, _, view)| !view.alarm && !view.link);
        let room = most - self.seen.len();
        self.seen.extend(waiting.take(room).map(|(id, record, view)| (id, Some(record), view)));
    }

    /// Copies a call and its callers; `false` where there is no room for them.
    pub(crate) fn read_path(&mut self, call: CallId, most: usize) -> bool {
        let callers = std::iter::successors(Some(call), |id| running(*id)?.parent());
        if running(call).is_none() {
            self.seen.extend(polls().find(|polled| polled.id == call).map(|polled| (call, polled.record, polled.view)));
        }
        for id in callers {
            let Some(record) = running(id) else { break };
            if self.seen.len() >= most {
                return false;
            }
            self.seen.extend(record.view().map(|view| (id, Some(record), view)));
        }
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(crate) fn has(&self, call: CallId) -> bool {
        self.find(call).is_some()
    }

    fn find(&self, call: CallId) -> Option<&Seen> {
        self.seen.iter().find(|(id, ..)| *id == call)
    }

    /// All of them, as a tree. The name of a thread that may have ended since is `known`.
    pub(crate) fn tree(&self, known: (u32, &str)) -> Tree {
        self.made_of(self.seen.iter(), known)
    }

    /// A call and its callers alone, likewise.
    pub(crate) fn path(&self, call: CallId, known: (u32, &str)) -> Tree {
        self.made_of(std::iter::successors(self.find(call), |(.., view)| self.find(view.parent?)), known)
    }

    fn made_of<'a>(&self, seen: impl Iterator<Item = &'a Seen>, (number, name): (u32, &str)) -> Tree {
        let lasting: HashMap<CallId, Poll> = self.polls.iter().copied().collect();
        let poll = |(id, record, view): &Seen| (*id, *record, View { poll: view.poll.or(lasting.get(id).copied()), ..*view });
        let named = |thread| if thread == number { name.to_owned() } else { thread::name(thread) };
        Tree::of(seen.map(poll).collect(), named, self.at)
    }
}
