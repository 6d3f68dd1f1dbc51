//! The shared network and its optimizer.

use backstop::Migrate;
use fastrand::Rng;
use tch::{Device, Kind, TchError, Tensor};

use super::{Adam, Hyper, Parameters, Rollout, policy_update, value_update};
use crate::data_preprocessing::to_device;
use crate::feature_engineering::FEATURES;

/// The shared network with its optimizer, on the CPU. Learning makes a new agent; the old one stays as it was.
#[derive(Debug, Migrate)]
pub struct Agent {
    weights: Parameters,
    adam: Adam,
    hyper: Hyper,
}

impl Agent {
    /// An agent that has not learnt yet: its weights follow from the seed.
    ///
    /// # Errors
    /// If libtorch cannot make the tensors.
    pub fn new(seed: u64, hyper: Hyper) -> Result<Self, TchError> {
        // One more input than the market's features: the position held.
        let weights = Parameters::initial(FEATURES + 1, &mut Rng::with_seed(seed))?;
        Ok(Self { adam: Adam::new(&weights)?, weights, hyper })
    }

    /// The shared weights.
    #[must_use]
    pub fn weights(&self) -> &Parameters {
        &self.weights
    }

    /// What steers its learning.
    #[must_use]
    pub fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// How many steps the optimizer took.
    #[must_use]
    pub fn steps(&self) -> i32 {
        self.adam.steps()
    }

    /// A copy of the shared weights on a device, for a worker.
    ///
    /// # Errors
    /// If libtorch cannot copy them.
    pub fn local(&self, device: Device) -> Result<Parameters, TchError> {
        self.weights.map(|tensor| to_device(tensor, device))
    }

    /// The gradients of one rollout, computed with a worker's local weights where these are.
    ///
    /// # Errors
    /// If libtorch refuses an operation on every device.
    pub fn gradients(&self, local: &Parameters, rollout: &Rollout) -> Result<Parameters, TchError> {
        let policy = policy_update(local, rollout, self.hyper.entropy_bonus)?;
        let value = value_update(local, rollout, self.hyper.value_weight)?;
        policy.zip(&value, Tensor::f_add)
    }

    /// The agent after one step along gradients from a worker. The one place where an optimizer steps.
    ///
    /// # Errors
    /// If libtorch refuses an operation; this agent is as before.
    pub fn learn(&self, gradients: &Parameters) -> Result<Self, TchError> {
        let gradients = shortened(gradients, self.hyper.longest_gradient)?;
        let (weights, adam) = self.adam.step(&self.weights, &gradients, self.hyper.learning_rate)?;
        Ok(Self { weights, adam, hyper: self.hyper })
    }

    /// The same agent once more.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { weights: self.weights.share(), adam: self.adam.share(), hyper: self.hyper }
    }
}

/// Scales gradients down so that all of them together are no longer than this.
fn shortened(gradients: &Parameters, longest: f64) -> Result<Parameters, TchError> {
    let mut squares = 0.0;
    for tensor in gradients.tensors() {
        squares += f64::try_from(tensor.f_square()?.f_sum(Kind::Float)?)?;
    }
    let scale = (longest / (squares.sqrt() + 1e-6)).min(1.0);
    gradients.map(|tensor| tensor.f_mul_scalar(scale))
}
