//! What the arguments were before an attempt. libtorch counts the changes of a tensor's memory, so a note costs a few nanoseconds; but it
//! counts neither gradients, which are noted beside, nor running statistics, which only a copy can prove unchanged.

use smallvec::SmallVec;

use super::argument::Arguments;
use super::left::Left;
use super::migrate::{Seen, Visitor, Whose};
use super::rare::Rare;
use super::snapshot::Snapshot;
use super::torch::{self, Device, TchError, Tensor};

/// The notes of one call. Made in place and filled there, since it is large and most calls need nothing else of it.
pub(crate) struct Survey {
    /// The accelerator of the first tensor or device that names one; [`Device::Cpu`] where none does.
    pub(crate) origin: Device,
    /// Of all tensors, in the order in which they are shown.
    notes: SmallVec<[Note; 4]>,
    /// Whether a tensor needs a gradient.
    trained: bool,
    held: Rare<Held>,
}

/// What only some calls need.
#[derive(Default)]
struct Held {
    /// What `&mut` could replace is kept alive, so that its identity is not used again.
    kept: Vec<Tensor>,
    snapshot: Option<Snapshot>,
    /// Copies of what is under training, one for each note, where an optimizer is at hand and nothing else is copied: libtorch's SGD writes
    /// through `data()`, which counts no change.
    weights: Vec<Option<Tensor>>,
}

/// What an attempt changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A tensor was written in place.
    Written,
    /// A gradient was accumulated or cleared.
    Gradient,
    /// It needs gradients now, or no more.
    Tracking,
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
            Change::Tracking => "has another `requires_grad`",
            Change::Replaced => "holds another tensor",
            Change::Unknown => "holds what changes without a trace, such as running statistics",
        }
    }
}

impl Survey {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { origin: Device::Cpu, notes: SmallVec::new(), trained: false, held: Rare::default() }
    }

    /// Notes all tensors; whether one of them, or a device, is an accelerator's.
    #[inline]
    pub(crate) fn note<A: Arguments>(&mut self, arguments: &A) -> bool {
        let mut again = false;
        arguments.visit(&mut Visitor::new(&mut self.taking(torch::version_or_error, &mut again)));
        if matches!(self.origin, Device::Cpu) {
            return false;
        }
        if torch::take_error() || again {
            self.note_again(arguments);
        }
        true
    }

    /// Notes those too that were shown before the first on an accelerator, and which of them have no counter.
    #[cold]
    fn note_again<A: Arguments>(&mut self, arguments: &A) {
        self.notes.clear();
        self.held = Rare::default();
        arguments.visit(&mut Visitor::new(&mut self.taking(version, &mut false)));
    }

    /// Notes what it is shown, from the first tensor on an accelerator on: most calls have theirs there, or none at all.
    fn taking(&mut self, version: impl Fn(&Tensor) -> i64, again: &mut bool) -> impl FnMut(Whose, Seen<'_>) {
        move |whose, seen| {
            let (tensor, uncounted) = match seen {
                Seen::Tensor(tensor) => (tensor, false),
                Seen::Buffer(tensor) => (tensor, true),
                Seen::Device(device) if matches!(self.origin, Device::Cpu) => return self.origin = device,
                Seen::Device(_) | Seen::Store(_) | Seen::Skipped(_) => return,
            };
            if matches!(self.origin, Device::Cpu) {
                let Some(device) = torch::accelerator(tensor) else { return *again = true };
                self.origin = device;
            }
            let (version, trained) = (version(tensor), torch::requires_grad(tensor));
            if trained || whose.exclusive {
                *again |= self.take_closely(tensor, version, trained, whose, uncounted);
            } else {
                self.notes.push(Note::plain(tensor, version, whose, uncounted));
            }
        }
    }

    /// Notes a tensor that may be trained on, or replaced; whether one before it has no counter.
    #[inline(never)]
    fn take_closely(&mut self, tensor: &Tensor, version: i64, trained: bool, whose: Whose, uncounted: bool) -> bool {
        // What follows asks through tch, which takes an error of before for its own.
        let again = torch::take_error();
        self.trained |= trained;
        let gradient = if trained { Mark::of_gradient(tensor) } else { Mark::NONE };
        self.notes.push(Note { gradient, trained, place: whose.place(tensor), ..Note::plain(tensor, version, whose, uncounted) });
        if whose.exclusive {
            self.held.get_or_default().kept.push(tensor.shallow_clone());
        }
        again
    }

    /// Copies the values of all tensors too. A device that has no memory for that is no reason to fail the call; it is then as without.
    pub(crate) fn copy<A: Arguments>(&mut self, arguments: &mut A) {
        self.held.get_or_default().snapshot = Snapshot::new(arguments, &self.notes).ok();
    }

    /// Copies the values of what is under training. A device that has no memory for that is no reason to fail the call.
    #[cold]
    pub(crate) fn weigh<A: Arguments>(&mut self, arguments: &A) {
        let weights = &mut self.held.get_or_default().weights;
        arguments.visit(&mut Visitor::new(&mut |_, seen| {
            let Some((tensor, _)) = seen.tensor() else { return };
            weights.push(if torch::is_trained_leaf(tensor) { torch::duplicate(tensor).ok() } else { None });
        }));
    }

    /// Whether something is under training.
    #[inline]
    pub(crate) fn is_training(&self) -> bool {
        self.trained
    }

    /// What was changed since, with the number of the argument.
    pub(crate) fn changes<A: Arguments>(&self, arguments: &A) -> Vec<(usize, Change)> {
        let mut changes = Vec::new();
        let mut notes = self.notes.iter();
        arguments.visit(&mut Visitor::new(&mut |whose, seen| {
            let Some((tensor, _)) = seen.tensor() else { return };
            let change = notes.next().map_or(Some(Change::Replaced), |note| note.change(tensor, whose));
            changes.extend(change.map(|change| (whose.argument as usize, change)));
        }));
        changes.extend(notes.map(|note| (note.argument as usize, Change::Replaced)));
        changes.dedup();
        changes
    }

    /// What was changed since and not put back.
    pub(crate) fn left<A: Arguments>(&self, arguments: &A) -> Left {
        let (mut left, mut notes) = (Left::default(), self.notes.iter());
        arguments.visit(&mut Visitor::new(&mut |whose, seen| {
            let Some((tensor, _)) = seen.tensor() else { return };
            match notes.next().map_or(Some(Change::Replaced), |note| note.change(tensor, whose)) {
                Some(Change::Replaced) => left.more = true,
                Some(change) => {
                    left.uncounted |= change == Change::Unknown;
                    left.tensors.push(torch::identity(tensor));
                }
                None => {}
            }
        }));
        left.more |= notes.next().is_some();
        left
    }

    /// Whether the notes, or the copies where only these tell, are of all that was left changed.
    pub(crate) fn covers(&self, left: &Left) -> bool {
        let noted = |identity: &usize| self.notes.iter().any(|note| note.tensor.identity == *identity);
        !left.more && (self.is_copied() || !left.uncounted) && left.tensors.iter().all(noted)
    }

    /// Whether a parameter under training was written, as an optimizer does, counted or not; without copies only what was not counted.
    pub(crate) fn is_trained<A: Arguments>(&self, arguments: &A) -> bool {
        let (mut notes, mut trained) = (self.notes.iter().enumerate(), false);
        arguments.visit(&mut Visitor::new(&mut |_, seen| {
            let (Some((tensor, _)), Some((at, note))) = (seen.tensor(), notes.next()) else { return };
            let written = || note.is_written(tensor);
            let differs = || self.value(at).is_some_and(|before| torch::has_changed(tensor, before).unwrap_or(true));
            let stepped = || if self.is_copied() { written() || differs() } else { !written() && differs() };
            trained |= note.is_of(tensor) && torch::is_trained_leaf(tensor) && stepped();
        }));
        trained
    }

    /// The value of the tensor with this note, where there is a copy.
    fn value(&self, at: usize) -> Option<&Tensor> {
        match self.snapshot() {
            Some(snapshot) => snapshot.value(at),
            None => self.held.get()?.weights.get(at)?.as_ref(),
        }
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.held.get()?.snapshot.as_ref()
    }

    /// Whether [`restore`](Self::restore) can undo changes.
    pub(crate) fn is_copied(&self) -> bool {
        self.snapshot().is_some()
    }

    /// Puts everything back as it was. Without copies nothing is done.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::restore`].
    pub(crate) fn restore<A: Arguments>(&self, arguments: &mut A) -> Result<(), TchError> {
        self.snapshot().map_or(Ok(()), |snapshot| snapshot.restore(arguments, &self.notes))
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

/// One tensor before the attempt.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    tensor: Mark,
    gradient: Mark,
    argument: u32,
    uncounted: bool,
    trained: bool,
    /// Where it stands in what is lent by `&mut`: the body may put it elsewhere. 0 where it cannot.
    place: usize,
}

/// Which tensor it is, and how often it was changed in place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    identity: usize,
    /// Counts up from 0; a tensor that has none is at -1.
    version: i64,
}

impl Note {
    /// Of a tensor that needs no gradient, and stands where it cannot be replaced.
    #[inline]
    fn plain(tensor: &Tensor, version: i64, whose: Whose, uncounted: bool) -> Self {
        let mark = Mark { identity: torch::identity(tensor), version };
        Self { tensor: mark, gradient: Mark::NONE, argument: whose.argument, uncounted, trained: false, place: 0 }
    }

    /// Whether it needed a gradient.
    pub(crate) fn is_trained(&self) -> bool {
        self.trained
    }

    /// Whether the tensor that it is of still stands where it stood.
    pub(crate) fn stands(&self, tensor: &Tensor, whose: Whose) -> bool {
        self.is_of(tensor) && self.argument == whose.argument && self.place == whose.place(tensor)
    }

    /// Whether it is of this tensor.
    #[inline]
    pub(crate) fn is_of(&self, tensor: &Tensor) -> bool {
        torch::identity(tensor) == self.tensor.identity
    }

    /// Whether the tensor that it is of was changed in place since, as far as that is counted.
    pub(crate) fn is_written(&self, tensor: &Tensor) -> bool {
        Mark::of(tensor) != self.tensor
    }

    /// Whether it needs gradients where it did not, or no more.
    fn tracks_otherwise(&self, tensor: &Tensor) -> bool {
        torch::requires_grad(tensor) != self.trained
    }

    /// Has the tensor need gradients as it did.
    pub(crate) fn track_again(&self, tensor: &Tensor) {
        if self.tracks_otherwise(tensor) && tensor.is_leaf() {
            let _ = tensor.set_requires_grad(self.trained);
        }
    }

    fn change(&self, tensor: &Tensor, whose: Whose) -> Option<Change> {
        if !self.stands(tensor, whose) {
            return Some(Change::Replaced);
        }
        if self.is_written(tensor) {
            return Some(Change::Written);
        }
        if Mark::of_gradient(tensor) != self.gradient {
            return Some(Change::Gradient);
        }
        if self.tracks_otherwise(tensor) {
            return Some(Change::Tracking);
        }
        (self.uncounted || self.tensor.version == -1).then_some(Change::Unknown)
    }
}

impl Mark {
    const NONE: Self = Self { identity: 0, version: 0 };

    #[inline]
    fn of(tensor: &Tensor) -> Self {
        Self { identity: torch::identity(tensor), version: version(tensor) }
    }

    fn of_gradient(tensor: &Tensor) -> Self {
        torch::gradient_of(tensor).map_or(Self::NONE, |gradient| Self::of(&gradient))
    }
}

/// The counter of changes, or -1 where there is none.
fn version(tensor: &Tensor) -> i64 {
    torch::version(tensor).unwrap_or(-1)
}
