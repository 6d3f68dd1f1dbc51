//! Copies that libtorch itself refuses to use once their original was changed in place.
//!
//! A detached tensor shares its counter of changes with the tensor that it comes from, and keeps the counter when it is given other data.

use super::{TchError, Tensor};

/// The same values as a part of the graph that libtorch takes no more, neither forward nor backward, once `original` was changed: it is
/// one of several views of a memory that was changed since, as far as libtorch can know.
///
/// Making it counts as one change of `original`.
pub(crate) fn tied(copy: &Tensor, original: &Tensor) -> Result<Tensor, TchError> {
    let mut base = original.f_detach()?;
    base.f_set_data(&copy.f_empty_like()?.f_detach()?)?;
    base.f_copy_(copy)?;
    let view = base.f_unsqueeze(0)?.f_unbind(0)?.pop();
    view.ok_or_else(|| super::error("there is no view of a tensor".to_owned()))
}

/// The same without a change of `original`; through these gradients are computed once, and only that is refused after a change.
pub(crate) fn tied_once(copy: &Tensor, original: &Tensor) -> Result<Tensor, TchError> {
    let mut witness = original.f_detach()?;
    witness.f_set_data(&Tensor::f_ones([0_i64; 0], (copy.f_kind()?, copy.device()))?)?;
    copy.f_mul(&witness)
}
