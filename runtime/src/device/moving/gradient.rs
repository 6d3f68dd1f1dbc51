//! Which gradient a tensor had, and what has become of it.

use crate::device::torch::{self, Tensor};

/// The gradient of a tensor as it was. It is held, so that no other one comes to lie at its address.
pub(super) struct Noted(Option<(Tensor, i64)>);

impl Noted {
    /// As it is now.
    pub(super) fn of(tensor: &Tensor) -> Self {
        Self(gradient(tensor).and_then(|gradient| torch::version(&gradient).map(|version| (gradient, version))))
    }

    /// Whether it is still the same, with the same values.
    pub(super) fn is_of(&self, tensor: &Tensor) -> bool {
        match (&self.0, gradient(tensor)) {
            (Some((noted, version)), Some(now)) => is_same(noted, &now) && torch::version(&now) == Some(*version),
            (None, now) => now.is_none(),
            (Some(_), None) => false,
        }
    }

    /// How many gradients were accumulated in that of the tensor since, as far as they are not cleared.
    pub(super) fn accumulated(&self, tensor: &Tensor) -> i64 {
        let Some(now) = gradient(tensor) else { return 0 };
        let changes = torch::version(&now).unwrap_or(0);
        match &self.0 {
            Some((noted, version)) if is_same(noted, &now) => changes - version,
            _ => 1 + changes,
        }
    }
}

/// Also of one that is frozen.
pub(super) fn gradient(tensor: &Tensor) -> Option<Tensor> {
    Some(tensor.grad()).filter(Tensor::defined)
}

fn is_same(one: &Tensor, other: &Tensor) -> bool {
    torch::identity(one) == torch::identity(other)
}
