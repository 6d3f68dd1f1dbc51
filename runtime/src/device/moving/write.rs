//! Changes of the copies into the originals: all of them, or none.

use super::leaf::Gradient;
use super::{Migration, Moved, Twin};
use crate::device::torch::{self, Device, TchError, Tensor};

/// What comes home, already on the device.
#[derive(Default)]
struct Staged {
    /// Values, and those that they replace.
    values: Vec<Value>,
    /// Parameters, and the gradients that they get.
    gradients: Vec<(Tensor, Tensor)>,
    /// Parameters whose gradients are cleared.
    cleared: Vec<Tensor>,
    /// Tensors that are given other memory, which cannot fail.
    data: Vec<(Tensor, Tensor)>,
    /// Parameters, and whether they need a gradient from now on.
    tracking: Vec<(Tensor, bool)>,
}

struct Value {
    original: Tensor,
    new: Tensor,
    old: Tensor,
}

impl Migration {
    /// Whether an optimizer has stepped since the copies were made; or more than once, where the arguments only may hide one: what is
    /// computed after the first step is then not told from what is computed before.
    pub(crate) fn is_outrun(&self) -> bool {
        self.copies.moved.iter().any(|moved| moved.tied && moved.is_outrun() || moved.has_stepped_again())
    }

    /// Whether the body changes a tensor without libtorch counting it, and nothing said that it might: an attempt on the device before this
    /// one has changed it perhaps, and nobody knows.
    pub(crate) fn has_changed_uncounted(&self) -> bool {
        self.copies.moved.iter().any(Moved::has_changed_uncounted)
    }

    /// Copies every change of the copies into the originals, which keep identity, device and place in graphs, and takes what the body made
    /// in the copy of a store into the store.
    ///
    /// # Errors
    ///
    /// A tensor was changed on both sides, or the device failed. Nothing is written then.
    pub(crate) fn write_back(&self) -> Result<(), TchError> {
        if self.copies.moved.iter().any(|moved| moved.is_outrun() && moved.changed() || moved.is_gradient_outrun()) {
            return Err(torch::error("a tensor was changed on the device and on the CPU".to_owned()));
        }
        if self.copies.moved.iter().any(Moved::began_after_a_step) {
            return Err(torch::error("gradients were computed again, after a step perhaps".to_owned()));
        }
        if self.copies.moved.iter().any(Moved::has_stepped_again) {
            let why = "a parameter was changed on the device more than once, which AdamW does in one step: pass the optimizer itself";
            return Err(torch::error(why.to_owned()));
        }
        if self.is_begun() && self.copies.moved.iter().any(|moved| moved.leaf.is_some() || moved.is_tracked_now()) {
            let why =
                "what stands in an argument was computed from parameters on the CPU, and sends them its gradients there: return it instead";
            return Err(torch::error(why.to_owned()));
        }
        if self.is_begun() && self.twins.borrow().iter().any(|twin| !twin.made().is_empty()) {
            return Err(torch::error("the result needs gradients of variables that the body made: make them before the call".to_owned()));
        }
        self.stage()?.apply()?;
        self.twins.borrow().iter().for_each(Twin::merge);
        Ok(())
    }

    fn stage(&self) -> Result<Staged, TchError> {
        let mut staged = Staged::default();
        self.copies.moved.iter().filter(|moved| moved.changed()).try_for_each(|moved| staged.take(moved, self.origin))?;
        self.copies.moved.iter().try_for_each(|moved| staged.take_gradient(moved, self.origin))?;
        for twin in self.twins.borrow().iter() {
            twin.made().iter().filter(|made| made.device() == self.target).try_for_each(|made| staged.arrive(made, twin.device()))?;
        }
        Ok(staged)
    }

    /// Gives tensors that the body made their memory on the device. They stay what they are: leaves, and shared with layers and optimizers.
    ///
    /// # Errors
    ///
    /// The device does not take one of them, or a graph needs them where they are. None has moved then.
    pub(super) fn send(&self, made: &[Tensor]) -> Result<(), TchError> {
        if self.is_begun() {
            return Err(torch::error("another part of the result was computed from it, perhaps, and sends it gradients there".to_owned()));
        }
        let mut staged = Staged::default();
        made.iter().filter(|made| made.device() == self.target).try_for_each(|made| staged.arrive(made, self.origin))?;
        staged.apply()
    }
}

impl Staged {
    fn take(&mut self, moved: &Moved, origin: Device) -> Result<(), TchError> {
        let new = torch::copy_to(&moved.copy.f_detach()?, origin)?;
        if moved.original.size() == moved.copy.size() {
            let old = torch::duplicate(&moved.original)?;
            self.values.push(Value { original: moved.original.shallow_clone(), new, old });
        } else {
            // Resized in place: the original takes the new memory.
            self.data.push((moved.original.shallow_clone(), new));
        }
        Ok(())
    }

    fn take_gradient(&mut self, moved: &Moved, origin: Device) -> Result<(), TchError> {
        let home = |gradient: &Tensor| torch::copy_to(&gradient.f_detach()?, origin);
        let original = moved.original.shallow_clone();
        let Some(leaf) = &moved.leaf else {
            if moved.is_tracked_now() {
                if let Some(by) = torch::gradient_of(&moved.copy) {
                    self.gradients.push((original.shallow_clone(), home(&by)?));
                }
                self.tracking.push((original, true));
            }
            return Ok(());
        };
        match leaf.gradient(&moved.original, &moved.copy) {
            Gradient::Same => {}
            Gradient::Written { handle, by } => {
                let old = torch::duplicate(&handle)?;
                self.values.push(Value { original: handle, new: home(&by)?, old });
            }
            Gradient::Given(by) => self.gradients.push((original, home(&by)?)),
            Gradient::Cleared => self.cleared.push(original),
        }
        if torch::requires_grad(&moved.copy) != torch::requires_grad(&moved.original) {
            self.tracking.push((moved.original.shallow_clone(), torch::requires_grad(&moved.copy)));
        }
        Ok(())
    }

    fn arrive(&mut self, made: &Tensor, device: Device) -> Result<(), TchError> {
        for part in [Some(made.shallow_clone()), torch::gradient_of(made)].into_iter().flatten() {
            let data = torch::to_device(&part.f_detach()?, device)?;
            self.data.push((part, data));
        }
        Ok(())
    }

    fn apply(self) -> Result<(), TchError> {
        for (at, value) in self.values.iter().enumerate() {
            if let Err(error) = torch::overwrite(&value.original, &value.new) {
                // This one may be half written.
                self.take_back(at + 1, 0);
                return Err(error);
            }
        }
        self.track(true, true);
        for (at, (parameter, gradient)) in self.gradients.iter().enumerate() {
            if let Err(error) = torch::give_gradient(parameter, gradient) {
                self.take_back(self.values.len(), at + 1);
                self.track(true, false);
                return Err(error);
            }
        }
        if !self.cleared.is_empty() {
            torch::clear_gradients(&self.cleared)?;
        }
        self.track(false, false);
        self.data.into_iter().try_for_each(|(mut tensor, data)| tensor.f_set_data(&data))
    }

    /// Switches those that are to need gradients, or those that are to need none any more.
    fn track(&self, those: bool, to: bool) {
        self.tracking.iter().filter(|(_, tracked)| *tracked == those).for_each(|(parameter, _)| _ = parameter.set_requires_grad(to));
    }

    /// Takes back what was written, so many of each.
    fn take_back(&self, values: usize, gradients: usize) {
        self.values[..values].iter().for_each(|value| _ = torch::overwrite(&value.original, &value.old));
        let given: Vec<Tensor> = self.gradients[..gradients].iter().map(|(parameter, _)| parameter.shallow_clone()).collect();
        if !given.is_empty() {
            let _ = torch::clear_gradients(&given);
        }
    }
}

impl Moved {
    /// How often the original was changed since the copy was made.
    fn changes(&self) -> i64 {
        torch::version(&self.original).zip(self.original_version).map_or(0, |(now, before)| now - before)
    }

    /// Whether the original was changed since the copy was made. A tie counts as a change; a step of libtorch's SGD does not.
    fn is_outrun(&self) -> bool {
        let counted = self.changes() != 0;
        if self.is_trained() {
            torch::to_device(&self.original, self.copy.device()).map_or(counted, |now| self.differs(&now))
        } else {
            counted
        }
    }

    /// Whether the gradient of the original was changed since the copy was made, which has one of its own.
    fn is_gradient_outrun(&self) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| leaf.is_outrun(&self.original))
    }

    /// Whether an optimizer that is not tied to the copy has perhaps stepped more than once on the original.
    fn has_stepped_again(&self) -> bool {
        self.is_trained() && !self.tied && (self.changes() > 1 || self.began_after_a_step())
    }

    /// Whether the original was changed by what counts no change, so that libtorch has let the copy be used after it, and it was.
    fn began_after_a_step(&self) -> bool {
        self.is_trained() && self.changes() == 0 && self.began_again() && self.is_outrun()
    }

    /// Whether the body has made a leaf that needs gradients of a copy that needed none.
    fn is_tracked_now(&self) -> bool {
        self.leaf.is_none() && !self.flat && torch::is_trained_leaf(&self.copy) && !torch::requires_grad(&self.original)
    }

    /// Whether the copy was changed without libtorch counting it, and nothing said that it might be.
    fn has_changed_uncounted(&self) -> bool {
        let told = self.is_trained() || self.leaf.is_some() || self.members.iter().all(|member| member.buffer);
        !told && torch::version(&self.copy) == self.version && self.differs(&self.copy)
    }

    /// Whether the copy was changed.
    fn changed(&self) -> bool {
        let counted = !self.tied && torch::version(&self.copy) != self.version;
        counted || self.differs(&self.copy)
    }

    /// Whether this differs from what the copy was, where that is known.
    fn differs(&self, now: &Tensor) -> bool {
        self.pristine.as_ref().is_some_and(|pristine| !torch::same_values(pristine, now).unwrap_or(false))
    }
}
