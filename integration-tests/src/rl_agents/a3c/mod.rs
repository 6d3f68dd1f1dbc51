//! Asynchronous advantage actor-critic (Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", 2016).
//!
//! The shared network and its Adam state live on the CPU; workers act and compute gradients on the device with a local copy that is as
//! old as their last turn, and hand the gradients to the shared network. Here the workers take turns in a seeded order instead of racing,
//! so that a run can be repeated bit for bit; gradients are stale by the other workers' turns, as in the paper.
//!
//! An update is a pure function from weights and experience to gradients. Only [`Agent::learn`] takes an optimizer's step; it runs on the
//! CPU, makes new tensors, and is never inside of a function that may be run twice for one result.

mod adam;
mod agent;
mod experience;
mod network;
mod worker;

use backstop::safe_mps_op;
use tch::{Device, Kind, TchError, Tensor};

pub use adam::Adam;
pub use agent::Agent;
pub use experience::{Experience, Rollout, sample};
pub use network::{Layer, Parameters};
pub use worker::{Environment, Worker};
pub(crate) use worker::{evaluate, rewards, with_positions};

/// What the agent may do with one symbol: hold this part of the money set aside for it.
pub const ACTIONS: [f32; 3] = [0.0, 0.5, 1.0];

/// What trading costs in the agent's rewards, as a part of the amount moved.
pub const TRADING_COST: f32 = 0.0005;

/// The numbers that steer learning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// How much a reward one bar later is worth.
    pub discount: f32,
    /// How strongly undecided policies are favoured.
    pub entropy_bonus: f64,
    /// How strongly the value's error counts.
    pub value_weight: f64,
    /// The longest gradient, over all parameters; longer ones are scaled down.
    pub longest_gradient: f64,
    /// Adam's step size.
    pub learning_rate: f64,
}

impl Default for Hyper {
    fn default() -> Self {
        Self { discount: 0.9, entropy_bonus: 0.01, value_weight: 0.5, longest_gradient: 1.0, learning_rate: 0.002 }
    }
}

/// The probability of each action in each state, on the CPU: `[states, 3]`.
///
/// # Errors
/// If libtorch refuses an operation on every device.
#[safe_mps_op(result = "cpu")]
pub fn policy(weights: &Parameters, states: &Tensor) -> Result<Tensor, TchError> {
    let (logits, _) = weights.forward(states)?;
    logits.f_softmax(-1, Kind::Float)?.f_to_device(Device::Cpu)
}

/// The value of each state, on the CPU: `[states]`.
///
/// # Errors
/// If libtorch refuses an operation on every device.
#[safe_mps_op(result = "cpu")]
pub fn value(weights: &Parameters, states: &Tensor) -> Result<Tensor, TchError> {
    let (_, values) = weights.forward(states)?;
    values.f_to_device(Device::Cpu)
}

/// The gradient of the policy's loss, on the CPU: `-mean(log p(action) · advantage) - bonus · mean(entropy)`, where the advantage is the
/// n-step return minus the critic's value, which it does not differentiate. The value layer's gradient is 0.
///
/// # Errors
/// If libtorch refuses an operation on every device.
#[safe_mps_op(result = "cpu")]
pub fn policy_update(weights: &Parameters, rollout: &Rollout, entropy_bonus: f64) -> Result<Parameters, TchError> {
    let leaves = weights.leaves()?;
    let (logits, values) = leaves.forward(&rollout.states)?;
    let advantage = rollout.returns.f_sub(&values.f_detach()?)?;
    let log_policy = logits.f_log_softmax(-1, Kind::Float)?;
    let chosen = log_policy.f_mul(&rollout.actions)?.f_sum_dim_intlist(-1, false, Kind::Float)?;
    let gain = chosen.f_mul(&advantage)?.f_mean(Kind::Float)?;
    let entropy = log_policy.f_exp()?.f_mul(&log_policy)?.f_sum_dim_intlist(-1, false, Kind::Float)?.f_mean(Kind::Float)?.f_neg()?;
    let loss = gain.f_add(&entropy.f_mul_scalar(entropy_bonus)?)?.f_neg()?;
    let wanted = [&leaves.trunk.weight, &leaves.trunk.bias, &leaves.policy.weight, &leaves.policy.bias];
    let gradients = to_cpu(&Tensor::f_run_backward(&[loss], &wanted, false, false)?)?;
    let [trunk_weight, trunk_bias, policy_weight, policy_bias] = exactly(gradients)?;
    let trunk = Layer { weight: trunk_weight, bias: trunk_bias };
    let policy = Layer { weight: policy_weight, bias: policy_bias };
    Ok(Parameters { trunk, policy, value: weights.value.zeros()? })
}

/// The gradient of the critic's loss, on the CPU: `weight · mean((return - value)²)`. The policy layer's gradient is 0.
///
/// # Errors
/// If libtorch refuses an operation on every device.
#[safe_mps_op(result = "cpu")]
pub fn value_update(weights: &Parameters, rollout: &Rollout, value_weight: f64) -> Result<Parameters, TchError> {
    let leaves = weights.leaves()?;
    let (_, values) = leaves.forward(&rollout.states)?;
    let loss = rollout.returns.f_sub(&values)?.f_square()?.f_mean(Kind::Float)?.f_mul_scalar(value_weight)?;
    let wanted = [&leaves.trunk.weight, &leaves.trunk.bias, &leaves.value.weight, &leaves.value.bias];
    let gradients = to_cpu(&Tensor::f_run_backward(&[loss], &wanted, false, false)?)?;
    let [trunk_weight, trunk_bias, value_weight, value_bias] = exactly(gradients)?;
    let trunk = Layer { weight: trunk_weight, bias: trunk_bias };
    let value = Layer { weight: value_weight, bias: value_bias };
    Ok(Parameters { trunk, policy: weights.policy.zeros()?, value })
}

fn to_cpu(tensors: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
    tensors.iter().map(|tensor| tensor.f_to_device(Device::Cpu)).collect()
}

fn exactly<const N: usize>(tensors: Vec<Tensor>) -> Result<[Tensor; N], TchError> {
    let found = tensors.len();
    tensors.try_into().map_err(|_| TchError::Shape(format!("{found} gradients for {N} parameters")))
}
