//! The network: a shared trunk with one head for the policy and one for the value; and any set of tensors in its shape.

use backstop::Migrate;
use fastrand::Rng;
use tch::{Device, TchError, Tensor};

use super::ACTIONS;
use crate::data_preprocessing::{length, numbers};

/// Width of the trunk.
const HIDDEN: i64 = 32;

/// One linear layer, or its gradients, or its moments.
#[derive(Debug, Migrate)]
pub struct Layer {
    /// `[outputs, inputs]`
    pub weight: Tensor,
    /// `[outputs]`
    pub bias: Tensor,
}

/// The network's weights; also its gradients and the optimizer's moments. Never changed in place.
#[derive(Debug, Migrate)]
pub struct Parameters {
    /// From the state to the features that both heads share.
    pub trunk: Layer,
    /// From these to the actions' scores.
    pub policy: Layer,
    /// From these to the state's value.
    pub value: Layer,
}

impl Layer {
    /// Uniform between ±1/√inputs, drawn by Rust's generator, so that no device's generator decides.
    fn initial(inputs: i64, outputs: i64, rng: &mut Rng) -> Result<Self, TchError> {
        #[expect(clippy::cast_precision_loss, reason = "a layer's width")]
        let bound = 1.0 / (inputs as f32).sqrt();
        let mut draw = |count: i64| -> Vec<f32> { (0..count).map(|_| (rng.f32() * 2.0 - 1.0) * bound).collect() };
        let weight = Tensor::f_from_slice(&draw(inputs * outputs))?.f_reshape([outputs, inputs])?;
        Ok(Self { weight, bias: Tensor::f_from_slice(&draw(outputs))? })
    }

    fn apply(&self, inputs: &Tensor) -> Result<Tensor, TchError> {
        inputs.f_linear(&self.weight, Some(&self.bias))
    }

    /// Zeros of this shape, on the CPU.
    pub(super) fn zeros(&self) -> Result<Self, TchError> {
        let zeros = |tensor: &Tensor| Tensor::f_zeros(tensor.size(), (tch::Kind::Float, Device::Cpu));
        Ok(Self { weight: zeros(&self.weight)?, bias: zeros(&self.bias)? })
    }
}

impl Parameters {
    /// A new network for states of this many numbers, on the CPU.
    ///
    /// # Errors
    /// If libtorch cannot make the tensors.
    pub fn initial(inputs: i64, rng: &mut Rng) -> Result<Self, TchError> {
        let trunk = Layer::initial(inputs, HIDDEN, rng)?;
        let policy = Layer::initial(HIDDEN, length(ACTIONS.len()), rng)?;
        Ok(Self { trunk, policy, value: Layer::initial(HIDDEN, 1, rng)? })
    }

    /// Scores of the actions `[states, 3]` and values `[states]`.
    pub(super) fn forward(&self, states: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let hidden = self.trunk.apply(states)?.f_tanh()?;
        Ok((self.policy.apply(&hidden)?, self.value.apply(&hidden)?.f_squeeze_dim(-1)?))
    }

    /// The same numbers as leaves of a new graph, for one backward pass.
    pub(super) fn leaves(&self) -> Result<Self, TchError> {
        self.map(|tensor| tensor.f_detach()?.f_set_requires_grad(true))
    }

    /// All tensors, in a fixed order.
    pub fn tensors(&self) -> [&Tensor; 6] {
        let Self { trunk, policy, value } = self;
        [&trunk.weight, &trunk.bias, &policy.weight, &policy.bias, &value.weight, &value.bias]
    }

    /// New parameters, one tensor at a time.
    pub(crate) fn map(&self, mut change: impl FnMut(&Tensor) -> Result<Tensor, TchError>) -> Result<Self, TchError> {
        let mut layer = |layer: &Layer| Ok::<_, TchError>(Layer { weight: change(&layer.weight)?, bias: change(&layer.bias)? });
        Ok(Self { trunk: layer(&self.trunk)?, policy: layer(&self.policy)?, value: layer(&self.value)? })
    }

    /// New parameters from pairs of tensors.
    pub(crate) fn zip(&self, other: &Self, mut join: impl FnMut(&Tensor, &Tensor) -> Result<Tensor, TchError>) -> Result<Self, TchError> {
        let mut layer =
            |a: &Layer, b: &Layer| Ok::<_, TchError>(Layer { weight: join(&a.weight, &b.weight)?, bias: join(&a.bias, &b.bias)? });
        Ok(Self {
            trunk: layer(&self.trunk, &other.trunk)?,
            policy: layer(&self.policy, &other.policy)?,
            value: layer(&self.value, &other.value)?,
        })
    }

    /// The same tensors once more; cheap, and harmless because none is ever changed in place.
    #[must_use]
    pub fn share(&self) -> Self {
        let layer = |layer: &Layer| Layer { weight: layer.weight.shallow_clone(), bias: layer.bias.shallow_clone() };
        Self { trunk: layer(&self.trunk), policy: layer(&self.policy), value: layer(&self.value) }
    }

    /// A number that is the same only for the same bits in every tensor (FNV-1a, 64 bits).
    ///
    /// # Errors
    /// If libtorch cannot copy the tensors to the CPU.
    pub fn checksum(&self) -> Result<u64, TchError> {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for tensor in self.tensors() {
            for byte in numbers(tensor)?.into_iter().flat_map(|number| number.to_bits().to_le_bytes()) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Ok(hash)
    }
}
