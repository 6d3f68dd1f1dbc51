//! Copies that libtorch itself refuses to use once their original was changed in place.
//!
//! A detached tensor shares its counter of changes with the tensor that it comes from, and keeps the counter when it is given other data.

use super::{Device, Kind, TchError, Tensor};

/// Counts how often gradients are computed through a copy: a step that changes no counter is otherwise not told to lie between two.
pub(crate) struct Passes {
    /// Of no elements. What it accumulates costs nothing, and is counted as a change of its gradient.
    leaf: Tensor,
    before: Option<i64>,
}

impl Passes {
    /// None yet.
    ///
    /// # Errors
    ///
    /// No memory is left.
    pub(crate) fn none(device: Device) -> Result<Self, TchError> {
        let leaf = Tensor::f_zeros([0], (Kind::Float, device))?.f_set_requires_grad(true)?;
        super::with_gradients(|| leaf.f_sum(Kind::Float)?.f_backward())?;
        let before = super::version(&leaf.f_grad()?);
        Ok(Self { leaf, before })
    }

    /// How many there were since.
    pub(crate) fn number(&self) -> i64 {
        super::version(&self.leaf.grad()).zip(self.before).map_or(0, |(now, before)| now - before)
    }

    /// The same values in a memory of their own; gradients that reach them are counted, where the copy is contiguous.
    fn through(&self, copy: &Tensor) -> Result<Tensor, TchError> {
        if !copy.is_contiguous() {
            // How it lies decides how sums are rounded.
            return copy.f_mul_scalar(1);
        }
        let flat = copy.f_reshape([-1])?;
        let counting = self.leaf.f_to_kind(flat.f_kind()?)?;
        Tensor::f_cat(&[flat, counting], 0)?.f_view(copy.size().as_slice())
    }
}

/// The same values as a part of the graph that libtorch takes no more, neither forward nor backward, once `original` was changed: it is
/// one of several views of a memory that was changed since, as far as libtorch can know.
///
/// Making it counts as one change of `original`.
pub(crate) fn tied(copy: &Tensor, original: &Tensor, passes: &Passes) -> Result<Tensor, TchError> {
    let mut base = original.f_detach()?;
    base.f_set_data(&copy.f_empty_like()?.f_detach()?)?;
    base.f_copy_(&passes.through(copy)?)?;
    let view = base.f_unsqueeze(0)?.f_unbind(0)?.pop();
    view.ok_or_else(|| super::error("there is no view of a tensor".to_owned()))
}

/// The same without a change of `original`; through these gradients are computed once, and only that is refused after a change.
pub(crate) fn tied_once(copy: &Tensor, original: &Tensor, passes: &Passes) -> Result<Tensor, TchError> {
    let mut witness = original.f_detach()?;
    witness.f_set_data(&Tensor::f_ones([0_i64; 0], (copy.f_kind()?, copy.device()))?)?;
    passes.through(copy)?.f_mul(&witness)
}

/// The same values, tied to nothing.
pub(crate) fn counted(copy: &Tensor, _: &Tensor, passes: &Passes) -> Result<Tensor, TchError> {
    passes.through(copy)
}
