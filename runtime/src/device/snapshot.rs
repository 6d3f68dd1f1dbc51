//! What the arguments were before an attempt: noted always, copied on request.
//!
//! libtorch counts the changes of a tensor's memory, so a note costs a few nanoseconds; but it counts neither gradients,
//! which are noted beside, nor running statistics, which only a copy can prove unchanged.

use super::argument::Arguments;
use super::migrate::{Seen, SeenMut};
use super::torch::{self, Device, TchError, Tensor};

/// The notes of one call.
pub(crate) struct Survey {
    /// The accelerator of the first tensor that has one.
    pub(crate) origin: Device,
    notes: Vec<Note>,
    copies: Option<Copies>,
}

struct Note {
    argument: usize,
    identity: usize,
    version: Option<i64>,
    uncounted: bool,
    gradient: Option<(usize, Option<i64>)>,
    /// Keeps what `&mut` could replace alive, so that its identity is not used again.
    kept: Option<Tensor>,
}

/// The copies of `snapshot`.
struct Copies {
    tensors: Vec<Copied>,
    /// The handles in the places of `&mut` arguments.
    places: Vec<Tensor>,
}

struct Copied {
    handle: Tensor,
    version: Option<i64>,
    value: Tensor,
    gradient: Option<Tensor>,
    trained: bool,
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

/// The first accelerator among the tensors and devices; `None` where there is only the CPU.
pub(crate) fn origin<A: Arguments>(arguments: &A) -> Option<Device> {
    let mut origin = None;
    arguments.visit(&mut |_, _, seen| {
        if origin.is_none() {
            origin = match seen {
                Seen::Tensor(tensor) | Seen::Buffer(tensor) => torch::accelerator(tensor),
                Seen::Device(device) => Some(device).filter(|device| *device != Device::Cpu),
                Seen::Store(_) => None,
            };
        }
    });
    origin
}

impl Survey {
    /// Notes all tensors; with `copied` also their values.
    pub(crate) fn new<A: Arguments>(arguments: &mut A, origin: Device, copied: bool) -> Self {
        let mut notes = Vec::with_capacity(8);
        arguments.visit(&mut |argument, exclusive, seen| match seen {
            Seen::Tensor(tensor) => notes.push(Note::of(argument, exclusive, tensor, false)),
            Seen::Buffer(tensor) => notes.push(Note::of(argument, exclusive, tensor, true)),
            Seen::Store(_) | Seen::Device(_) => {}
        });
        // A device that has no memory for the copies is no reason to fail the call; it is then as without `snapshot`.
        let copies = if copied { Copies::new(arguments).ok() } else { None };
        Self { origin, notes, copies }
    }

    /// What was changed since, with the number of the argument.
    pub(crate) fn changes<A: Arguments>(&self, arguments: &A) -> Vec<(usize, Change)> {
        let mut changes = Vec::new();
        let mut notes = self.notes.iter();
        arguments.visit(&mut |argument, _, seen| {
            let (Seen::Tensor(tensor) | Seen::Buffer(tensor)) = seen else { return };
            match notes.next() {
                Some(note) => changes.extend(note.change(tensor).map(|change| (argument, change))),
                None => changes.push((argument, Change::Replaced)),
            }
        });
        changes.extend(notes.map(|note| (note.argument, Change::Replaced)));
        changes.dedup();
        changes
    }

    /// Whether [`restore`](Self::restore) can undo changes.
    pub(crate) fn is_copied(&self) -> bool {
        self.copies.is_some()
    }

    /// Puts everything back as it was. Without copies nothing is done.
    ///
    /// # Errors
    ///
    /// A copy failed on the device; what was changed is then partly put back.
    pub(crate) fn restore<A: Arguments>(&self, arguments: &mut A) -> Result<(), TchError> {
        let Some(copies) = &self.copies else { return Ok(()) };
        copies.put_handles_back(arguments);
        torch::without_gradients(|| copies.tensors.iter().try_for_each(Copied::restore))?;
        copies.restore_gradients()
    }

    /// A number that is equal for calls with the same dtypes and shapes, to a factor of two in each axis.
    pub(crate) fn signature<A: Arguments>(arguments: &A) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        arguments.visit(&mut |_, _, seen| {
            if let Seen::Tensor(tensor) | Seen::Buffer(tensor) = seen
                && tensor.defined()
            {
                tensor.f_kind().map(|kind| kind as i32).ok().hash(&mut hasher);
                tensor.size().iter().for_each(|axis| axis.checked_ilog2().hash(&mut hasher));
            }
        });
        hasher.finish()
    }
}

impl Note {
    fn of(argument: usize, exclusive: bool, tensor: &Tensor, uncounted: bool) -> Self {
        Self {
            argument,
            identity: torch::identity(tensor),
            version: torch::version(tensor),
            uncounted,
            gradient: gradient_of(tensor).map(|gradient| (torch::identity(&gradient), torch::version(&gradient))),
            kept: exclusive.then(|| tensor.shallow_clone()),
        }
    }

    fn change(&self, tensor: &Tensor) -> Option<Change> {
        let _ = &self.kept;
        if torch::identity(tensor) != self.identity {
            return Some(Change::Replaced);
        }
        if torch::version(tensor) != self.version {
            return Some(Change::Written);
        }
        let gradient = gradient_of(tensor).map(|gradient| (torch::identity(&gradient), torch::version(&gradient)));
        if gradient != self.gradient {
            return Some(Change::Gradient);
        }
        self.uncounted.then_some(Change::Unknown)
    }
}

/// The gradient that accumulates in the tensor; `None` where there is none.
fn gradient_of(tensor: &Tensor) -> Option<Tensor> {
    if !torch::is_trained_leaf(tensor) {
        return None;
    }
    Some(tensor.grad()).filter(Tensor::defined)
}

impl Copies {
    fn new<A: Arguments>(arguments: &mut A) -> Result<Self, TchError> {
        let mut tensors: Vec<Copied> = Vec::new();
        let mut failed = None;
        arguments.visit(&mut |_, _, seen| {
            let (Seen::Tensor(tensor) | Seen::Buffer(tensor)) = seen else { return };
            let known = |copied: &Copied| torch::identity(&copied.handle) == torch::identity(tensor);
            if !tensor.defined() || failed.is_some() || tensors.iter().any(known) {
                return;
            }
            match Copied::new(tensor) {
                Ok(copied) => tensors.push(copied),
                Err(error) => failed = Some(error),
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let mut places = Vec::new();
        arguments.visit_mut(&mut |seen| {
            if let SeenMut::Tensor(tensor) = seen {
                places.push(tensor.shallow_clone());
            }
        });
        Ok(Self { tensors, places })
    }

    fn put_handles_back<A: Arguments>(&self, arguments: &mut A) {
        let mut places = self.places.iter();
        arguments.visit_mut(&mut |seen| {
            if let (SeenMut::Tensor(tensor), Some(before)) = (seen, places.next())
                && torch::identity(tensor) != torch::identity(before)
            {
                *tensor = before.shallow_clone();
            }
        });
    }

    fn restore_gradients(&self) -> Result<(), TchError> {
        let trained = || self.tensors.iter().filter(|copied| copied.trained);
        let surplus: Vec<Tensor> = trained()
            .filter(|copied| copied.gradient.is_none() && copied.handle.grad().defined())
            .map(|copied| copied.handle.shallow_clone())
            .collect();
        if !surplus.is_empty() {
            torch::clear_gradients(&surplus)?;
        }
        trained().try_for_each(|copied| match &copied.gradient {
            Some(before) if copied.handle.grad().defined() => torch::overwrite(&copied.handle.grad(), before),
            Some(before) => torch::give_gradient(&copied.handle, before),
            None => Ok(()),
        })
    }
}

impl Copied {
    fn new(tensor: &Tensor) -> Result<Self, TchError> {
        Ok(Self {
            handle: tensor.shallow_clone(),
            version: torch::version(tensor),
            value: torch::duplicate(tensor)?,
            gradient: gradient_of(tensor).map(|gradient| torch::duplicate(&gradient)).transpose()?,
            trained: torch::is_trained_leaf(tensor),
        })
    }

    /// Writes the value back where it changed. Writing what did not change would disturb graphs that wait for it.
    fn restore(&self) -> Result<(), TchError> {
        if self.handle.size() != self.value.size() {
            return self.handle.shallow_clone().f_set_data(&torch::duplicate(&self.value)?);
        }
        let counted = torch::version(&self.handle) != self.version;
        if counted || self.differs_uncounted()? {
            return torch::overwrite(&self.handle, &self.value);
        }
        Ok(())
    }

    /// Running statistics are lists of numbers that need no gradient; they are compared on the CPU, which can.
    fn differs_uncounted(&self) -> Result<bool, TchError> {
        if self.trained || self.handle.dim() != 1 || !self.handle.is_floating_point() {
            return Ok(false);
        }
        let (now, before) = (torch::to_device(&self.handle, Device::Cpu)?, torch::to_device(&self.value, Device::Cpu)?);
        Ok(!torch::same_values(&now, &before)?)
    }
}
