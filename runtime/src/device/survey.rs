//! What the arguments were before an attempt. libtorch counts the changes of a tensor's memory, so a note costs a few nanoseconds; but it
//! counts neither gradients, which are noted beside, nor running statistics, which only a copy can prove unchanged.

use super::argument::Arguments;
use super::migrate::{Seen, Visitor, Whose};
use super::snapshot::Snapshot;
use super::torch::{self, Device, TchError, Tensor};

/// The notes of one call. Made in place and filled there, since it is large and most calls need nothing else of it.
pub(crate) struct Survey {
    /// The accelerator of the first tensor or device that names one; [`Device::Cpu`] where none does.
    pub(crate) origin: Device,
    notes: Notes,
    snapshot: Option<Box<Snapshot>>,
}

/// What an attempt changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A tensor was written in place.
    Written,
    /// A gradient was accumulated or cleared.
    Gradient,
    /// Another tensor stands in its place, or their number changed.
    Replaced,
    /// Running statistics, which change without a trace.
    Unknown,
}

impl Change {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Change::Written => "was changed in place",
            Change::Gradient => "has another gradient",
            Change::Replaced => "holds another tensor",
            Change::Unknown => "holds running statistics, whose changes leave no trace",
        }
    }
}

impl Survey {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { origin: Device::Cpu, notes: Notes::default(), snapshot: None }
    }

    /// Notes all tensors; whether one of them, or a device, is an accelerator's.
    #[inline]
    pub(crate) fn note<A: Arguments>(&mut self, arguments: &A) -> bool {
        let Self { origin, notes, .. } = self;
        let mut skipped = false;
        arguments.visit(&mut Visitor::new(&mut |whose, seen| {
            if *origin == Device::Cpu {
                *origin = seen.device();
            }
            match *origin {
                // Most calls have their first tensor on the device, or none at all.
                Device::Cpu => skipped = true,
                _ => notes.note(whose, seen),
            }
        }));
        if *origin == Device::Cpu {
            return false;
        }
        if skipped {
            *notes = Notes::default();
            arguments.visit(&mut Visitor::new(&mut |whose, seen| notes.note(whose, seen)));
        }
        true
    }

    /// Copies the values of all tensors too. A device that has no memory for that is no reason to fail the call; it is then as without.
    pub(crate) fn copy<A: Arguments>(&mut self, arguments: &mut A) {
        self.snapshot = Snapshot::new(arguments).ok().map(Box::new);
    }

    /// What was changed since, with the number of the argument.
    pub(crate) fn changes<A: Arguments>(&self, arguments: &A) -> Vec<(usize, Change)> {
        let mut changes = Vec::new();
        let mut notes = self.notes.iter();
        arguments.visit(&mut Visitor::new(&mut |whose, seen| {
            let Some((tensor, _)) = seen.tensor() else { return };
            let change = notes.next().map_or(Some(Change::Replaced), |note| note.change(tensor));
            changes.extend(change.map(|change| (whose.argument as usize, change)));
        }));
        changes.extend(notes.map(|note| (note.argument as usize, Change::Replaced)));
        changes.dedup();
        changes
    }

    /// Whether [`restore`](Self::restore) can undo changes.
    pub(crate) fn is_copied(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Puts everything back as it was. Without copies nothing is done.
    ///
    /// # Errors
    ///
    /// A copy failed on the device; what was changed is then partly put back.
    pub(crate) fn restore<A: Arguments>(&self, arguments: &mut A) -> Result<(), TchError> {
        self.snapshot.as_ref().map_or(Ok(()), |snapshot| snapshot.restore(arguments))
    }
}

/// A number that is equal for calls with the same dtypes and shapes, to a factor of two in each axis.
pub(crate) fn signature<A: Arguments>(arguments: &A) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    arguments.visit(&mut Visitor::new(&mut |_, seen| {
        let Some((tensor, _)) = seen.tensor().filter(|(tensor, _)| tensor.defined()) else { return };
        tensor.f_kind().map(|kind| kind as i32).ok().hash(&mut hasher);
        tensor.size().iter().for_each(|axis| axis.checked_ilog2().hash(&mut hasher));
    }));
    hasher.finish()
}

/// The notes of all tensors, in the order in which they are shown. Those of a small function lie in place, so that it allocates nothing.
#[derive(Default)]
struct Notes {
    first: [Note; 4],
    count: usize,
    more: Vec<Note>,
    /// What `&mut` could replace is kept alive, so that its identity is not used again.
    kept: Vec<Tensor>,
}

#[derive(Clone, Copy, Default)]
struct Note {
    tensor: Mark,
    /// [`Mark::NONE`] where there is none.
    gradient: Mark,
    argument: u32,
    uncounted: bool,
}

/// Which tensor it was, and how often it had been changed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Mark {
    identity: usize,
    /// Versions count up from 0; a tensor that has none is at -1.
    version: i64,
}

impl Notes {
    #[inline]
    fn note(&mut self, whose: Whose, seen: Seen<'_>) {
        let Some((tensor, uncounted)) = seen.tensor() else { return };
        let note = Note { tensor: Mark::of(tensor), gradient: Mark::of_gradient(tensor), argument: whose.argument, uncounted };
        match self.first.get_mut(self.count) {
            Some(place) => *place = note,
            None => self.more.push(note),
        }
        self.count += 1;
        if whose.exclusive {
            self.kept.push(tensor.shallow_clone());
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Note> {
        self.first.iter().take(self.count).chain(&self.more)
    }
}

impl Note {
    fn change(&self, tensor: &Tensor) -> Option<Change> {
        if torch::identity(tensor) != self.tensor.identity {
            return Some(Change::Replaced);
        }
        if Mark::of(tensor) != self.tensor {
            return Some(Change::Written);
        }
        if Mark::of_gradient(tensor) != self.gradient {
            return Some(Change::Gradient);
        }
        self.uncounted.then_some(Change::Unknown)
    }
}

impl Mark {
    const NONE: Self = Self { identity: 0, version: 0 };

    #[inline]
    fn of(tensor: &Tensor) -> Self {
        Self { identity: torch::identity(tensor), version: torch::version(tensor).unwrap_or(-1) }
    }

    #[inline]
    fn of_gradient(tensor: &Tensor) -> Self {
        torch::gradient_of(tensor).map_or(Self::NONE, |gradient| Self::of(&gradient))
    }
}
