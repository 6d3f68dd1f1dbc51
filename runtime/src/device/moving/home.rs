//! The way home of results: to where the caller expects them.

use std::collections::HashMap;

use super::{Member, Migration, Moved, stores};
use crate::device::migrate::SeenMut;
use crate::device::torch::{self, Layout, TchError, Tensor, VarStore};

/// The numbers of the copies, after the attempt: the body may have resized one.
pub(super) struct Landed {
    /// Of those that are no cuts of a flat copy.
    by_identity: HashMap<usize, usize>,
    /// By their memory, of those that lie in it as the originals do in theirs.
    by_root: HashMap<usize, usize>,
}

impl Landed {
    fn of(moved: &[Moved]) -> Self {
        let (mut by_identity, mut by_root) = (HashMap::new(), HashMap::new());
        for (number, moved) in moved.iter().enumerate() {
            if !moved.flat {
                by_identity.entry(torch::identity(&moved.copy)).or_insert(number);
            }
            if let Some(layout) = Layout::of(&moved.copy).filter(|_| moved.lies_alike) {
                by_root.entry(layout.root).or_insert(number);
            }
        }
        Self { by_identity, by_root }
    }
}

impl Migration {
    /// Looks at a tensor of the result: it may share memory with another; and a graph that was begun on the CPU ends in leaves there, which
    /// must not leave it.
    pub(crate) fn look(&self, seen: &SeenMut<'_>) {
        let SeenMut::Tensor(tensor) = seen else { return };
        if !self.is_here(tensor) || torch::is_trained_leaf(tensor) {
            return;
        }
        if tensor.requires_grad() && self.original_of(tensor).is_ok_and(|original| original.is_none()) {
            self.begun.set(true);
        }
        if self.is_made(tensor) {
            self.homeward.borrow_mut().look(tensor);
        }
    }

    /// Whether a result is computed from leaves on the CPU, perhaps.
    pub(crate) fn is_begun(&self) -> bool {
        self.begun.get()
    }

    /// Replaces a part of the result by what the caller expects: the argument that it is or is a view of, or, where `send` is set, its copy
    /// on the device. Of stores first and then of the rest, since tensors may be in both.
    ///
    /// # Errors
    ///
    /// The device does not take it, or gradients need it where it is. It is then left as it is.
    pub(crate) fn home(&self, seen: SeenMut<'_>, send: bool) -> Result<(), TchError> {
        match seen {
            SeenMut::Tensor(tensor) => self.tensor_home(tensor, send),
            SeenMut::Store(store) => self.store_home(store, send),
            SeenMut::Device(device) => {
                if send && self.names_origin && *device == self.target {
                    *device = self.origin;
                }
                Ok(())
            }
        }
    }

    fn tensor_home(&self, tensor: &mut Tensor, send: bool) -> Result<(), TchError> {
        if !self.is_here(tensor) {
            return Ok(());
        }
        if let Some(original) = self.original_of(tensor)? {
            *tensor = original;
        } else if send && self.is_made(tensor) {
            if torch::is_trained_leaf(tensor) {
                return self.send(&[tensor.shallow_clone()]);
            }
            *tensor = self.homeward.borrow_mut().send(tensor)?;
        }
        Ok(())
    }

    fn store_home(&self, store: &mut VarStore, send: bool) -> Result<(), TchError> {
        if let Some(twin) = self.twins.borrow().iter().find(|twin| twin.is_copied_by(store)) {
            *store = twin.original();
        } else if send && store.device() == self.target {
            self.send(&stores::variables(store))?;
            store.set_device(self.origin);
        }
        Ok(())
    }

    /// Whether a tensor of the result stays on the CPU although nobody refused it: it is behind a pointer that is held elsewhere too.
    pub(crate) fn is_left(&self, tensor: &Tensor, send: bool) -> bool {
        self.is_here(tensor) && (self.original_of(tensor).is_ok_and(|original| original.is_some()) || send && self.is_made(tensor))
    }

    fn is_here(&self, tensor: &Tensor) -> bool {
        tensor.defined() && tensor.device() == self.target
    }

    /// Whether the body made it, as far as can be told.
    fn is_made(&self, tensor: &Tensor) -> bool {
        self.target != self.origin && Layout::of(tensor).is_none_or(|layout| !self.untouched.contains(&layout.root))
    }

    fn original_of(&self, tensor: &Tensor) -> Result<Option<Tensor>, TchError> {
        let (landed, moved) = (self.landed.get_or_init(|| Landed::of(&self.copies.moved)), &self.copies.moved);
        if let Some(number) = landed.by_identity.get(&torch::identity(tensor)) {
            return Ok(Some(moved[*number].members[0].handle.shallow_clone()));
        }
        let Some(layout) = Layout::of(tensor) else { return Ok(None) };
        let Some(moved) = landed.by_root.get(&layout.root).map(|number| &moved[*number]) else { return Ok(None) };
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
