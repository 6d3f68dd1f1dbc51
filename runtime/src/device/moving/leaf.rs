//! Copies of parameters that are leaves themselves, with gradients of their own, for a body that trains by hand: it may clear, read and
//! accumulate them, and they are brought home afterwards.

use super::gradient::{Noted, gradient};
use crate::device::torch::{self, Device, TchError, Tensor};

/// What the gradients of a parameter and of its copy were.
pub(super) struct Leaf {
    of_original: Noted,
    of_copy: Noted,
}

/// What becomes of the gradient of an original.
pub(super) enum Gradient {
    Same,
    /// It takes the values of this one.
    Written {
        handle: Tensor,
        by: Tensor,
    },
    /// It gets one.
    Given(Tensor),
    Cleared,
}

impl Leaf {
    /// The copy of a parameter.
    ///
    /// # Errors
    ///
    /// A copy failed.
    pub(super) fn copy(original: &Tensor, target: Device) -> Result<(Tensor, Self), TchError> {
        let copy = torch::without_gradients(|| torch::copy_to(original, target))?.f_set_requires_grad(true)?;
        if let Some(gradient) = torch::gradient_of(original) {
            torch::give_gradient(&copy, &torch::to_device(&gradient.f_detach()?, target)?)?;
        }
        let leaf = Self { of_original: Noted::of(original), of_copy: Noted::of(&copy) };
        Ok((copy, leaf))
    }

    /// Whether somebody else has changed the gradient of the original since.
    pub(super) fn is_outrun(&self, original: &Tensor) -> bool {
        !self.of_original.is_of(original)
    }

    /// What the body has made of the gradient.
    pub(super) fn gradient(&self, original: &Tensor, copy: &Tensor) -> Gradient {
        if self.of_copy.is_of(copy) {
            return Gradient::Same;
        }
        match (gradient(copy), gradient(original)) {
            (Some(by), Some(handle)) => Gradient::Written { handle, by },
            (Some(by), None) => Gradient::Given(by),
            (None, Some(_)) => Gradient::Cleared,
            (None, None) => Gradient::Same,
        }
    }
}
