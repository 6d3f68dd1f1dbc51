//! The way home: changes of the copies into the originals, and results to where the caller expects them.

use super::{Holds, Member, Migration, Moved};
use crate::device::torch::{self, Layout, TchError, Tensor};

impl Migration {
    /// Whether an optimizer has stepped since the copies were made; or more than once, where the arguments only may hide one: what is
    /// computed after the first step is then not told from what is computed before.
    pub(crate) fn is_outrun(&self) -> bool {
        let hidden = |moved: &Moved| self.optimizer == Holds::Perhaps && torch::is_trained_leaf(&moved.original) && moved.changes() > 1;
        self.moved.iter().any(|moved| moved.tied && moved.is_outrun() || hidden(moved))
    }

    /// Copies every change of the copies into the originals, which keep identity, device and place in graphs.
    ///
    /// # Errors
    ///
    /// A tensor was changed on both sides, or the device failed.
    pub(crate) fn write_back(&self) -> Result<(), TchError> {
        if self.moved.iter().any(|moved| moved.is_outrun() && moved.changed()) {
            return Err(torch::error("a tensor was changed on the device and on the CPU".to_owned()));
        }
        if self.optimizer == Holds::Perhaps && self.is_outrun() {
            return Err(torch::error("a parameter was changed on the device more than once".to_owned()));
        }
        self.moved.iter().filter(|moved| moved.changed()).try_for_each(|moved| {
            if moved.original.size() == moved.copy.size() {
                return torch::overwrite(&moved.original, &moved.copy);
            }
            // Resized in place: the original takes the new memory.
            let resized = torch::copy_to(&moved.copy.f_detach()?, self.origin)?;
            moved.original.shallow_clone().f_set_data(&resized)
        })
    }

    /// Replaces a tensor of the result by what the caller expects: the argument that it is or is a view of, or, where
    /// `send` is set, its copy on the device.
    ///
    /// # Errors
    ///
    /// The device does not take the tensor, which is then left as it is.
    pub(crate) fn home(&self, tensor: &mut Tensor, send: bool) -> Result<(), TchError> {
        if !tensor.defined() || tensor.device() != self.target {
            return Ok(());
        }
        if let Some(original) = self.original_of(tensor)? {
            *tensor = original;
            return Ok(());
        }
        let layout = Layout::of(tensor);
        let passed = layout.is_some_and(|layout| self.untouched.contains(&layout.root));
        if send && !passed && self.target != self.origin {
            *tensor = torch::to_device(tensor, self.origin)?;
        }
        Ok(())
    }

    fn original_of(&self, tensor: &Tensor) -> Result<Option<Tensor>, TchError> {
        let identity = torch::identity(tensor);
        if let Some(moved) = self.moved.iter().find(|moved| !moved.flat && torch::identity(&moved.copy) == identity) {
            return Ok(Some(moved.members[0].handle.shallow_clone()));
        }
        let Some(layout) = Layout::of(tensor) else { return Ok(None) };
        let Some(moved) = self.moved.iter().find(|moved| moved.copy_root == Some(layout.root)) else { return Ok(None) };
        if layout.kind != moved.copy.f_kind()? || tensor.requires_grad() || moved.members.iter().any(|member| member.tracked) {
            return Ok(None);
        }
        let same = |member: &&Member| member.layout.as_ref().is_some_and(|of| of.is_shifted(&layout, moved.start));
        if let Some(member) = moved.members.iter().find(same) {
            return Ok(Some(member.handle.shallow_clone()));
        }
        let view = || moved.original.f_as_strided(&layout.size, &layout.stride, layout.offset + moved.start);
        torch::without_gradients(view).map(Some)
    }
}

impl Moved {
    /// How often the original was changed since the copy was made.
    fn changes(&self) -> i64 {
        torch::version(&self.original).zip(self.original_version).map_or(0, |(now, before)| now - before)
    }

    /// Whether the original was changed since the copy was made.
    fn is_outrun(&self) -> bool {
        self.changes() != 0 && (!self.tied || torch::to_device(&self.original, self.copy.device()).map_or(true, |now| self.differs(&now)))
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
