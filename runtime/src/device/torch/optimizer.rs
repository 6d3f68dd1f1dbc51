//! What tch has no call for: gradients that are put back as they were, and whose panic it was.

use std::panic::Location;

use super::{TchError, Tensor};

/// Whether this is a place in tch's optimizers.
pub(crate) fn is_optimizers(place: &Location<'_>) -> bool {
    place.file().replace('\\', "/").ends_with("nn/optimizer.rs")
}

/// Leaves the tensors without gradients, as if none had ever been computed.
pub(crate) fn clear_gradients(leaves: &[Tensor]) -> Result<(), TchError> {
    // tch only zeroes gradients; an optimizer of libtorch removes them. It never steps.
    let mut optimizer = tch::COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false)?;
    for leaf in leaves {
        optimizer.add_parameters(leaf, 0)?;
    }
    optimizer.zero_grad()
}

/// Gives a leaf without a gradient this one, bit for bit: the gradient of `sum(leaf · gradient)` is `gradient`.
pub(crate) fn give_gradient(leaf: &Tensor, gradient: &Tensor) -> Result<(), TchError> {
    super::with_gradients(|| leaf.f_mul(gradient)?.f_sum(super::Kind::Float)?.f_backward())
}
