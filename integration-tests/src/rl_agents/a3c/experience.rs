//! What a worker has seen and done since its last update, and the n-step returns of it.

use backstop::Migrate;
use fastrand::Rng;
use tch::{Device, TchError, Tensor};

use super::ACTIONS;
use crate::data_preprocessing::{length, to_device};

/// Steps of several symbols side by side: the states seen, the actions taken, the rewards got.
#[derive(Debug, Default)]
pub struct Experience {
    states: Vec<Tensor>,
    actions: Vec<Vec<usize>>,
    rewards: Vec<Vec<f32>>,
}

/// A finished stretch of experience; all symbols and steps in one batch.
#[derive(Debug, Migrate)]
pub struct Rollout {
    /// `[steps · symbols, inputs]`
    pub states: Tensor,
    /// One row an action, 1 where it was taken: `[steps · symbols, 3]`
    pub actions: Tensor,
    /// The n-step returns: `[steps · symbols]`
    pub returns: Tensor,
}

impl Experience {
    /// Notes a step: the states `[symbols, inputs]` on the CPU and the action for each symbol. Its rewards follow.
    pub fn acted(&mut self, states: Tensor, actions: Vec<usize>) {
        self.states.push(states);
        self.actions.push(actions);
    }

    /// Notes the rewards of the oldest step that has none, one a symbol.
    pub fn rewarded(&mut self, rewards: Vec<f32>) {
        if self.rewards.len() < self.states.len() {
            self.rewards.push(rewards);
        }
    }

    /// How many steps have their rewards.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Whether no step has its rewards yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// The batch for an update, on the CPU: `return[t] = reward[t] + discount · return[t+1]`, where what comes after the last step is worth
    /// `beyond`, one value a symbol.
    ///
    /// # Errors
    /// If libtorch cannot make the tensors.
    pub fn finish(self, beyond: &[f32], discount: f32) -> Result<Rollout, TchError> {
        let steps = self.rewards.len();
        let mut following = beyond.to_vec();
        let mut returns: Vec<Vec<f32>> = Vec::with_capacity(steps);
        for rewards in self.rewards.iter().rev() {
            following = rewards.iter().zip(&following).map(|(reward, next)| reward + discount * next).collect();
            returns.push(following.clone());
        }
        returns.reverse();
        let taken: Vec<f32> = self.actions[..steps].iter().flatten().flat_map(|action| one_hot(*action)).collect();
        Ok(Rollout {
            states: Tensor::f_cat(&self.states[..steps], 0)?,
            actions: Tensor::f_from_slice(&taken)?.f_reshape([-1, length(ACTIONS.len())])?,
            returns: Tensor::f_from_slice(&returns.concat())?,
        })
    }
}

impl Rollout {
    /// A copy on a device.
    ///
    /// # Errors
    /// If libtorch cannot copy it.
    pub fn to_device(&self, device: Device) -> Result<Self, TchError> {
        Ok(Self {
            states: to_device(&self.states, device)?,
            actions: to_device(&self.actions, device)?,
            returns: to_device(&self.returns, device)?,
        })
    }
}

fn one_hot(action: usize) -> [f32; ACTIONS.len()] {
    let mut row = [0.0; ACTIONS.len()];
    row[action] = 1.0;
    row
}

/// Draws an action for each row of probabilities, by Rust's generator.
///
/// # Errors
/// If libtorch cannot copy the probabilities.
pub fn sample(probabilities: &Tensor, rng: &mut Rng) -> Result<Vec<usize>, TchError> {
    let numbers = crate::data_preprocessing::numbers(probabilities)?;
    Ok(numbers.chunks(ACTIONS.len()).map(|row| draw(row, rng.f32())).collect())
}

/// The first action whose probabilities up to it exceed `at`; rounding may leave the sum below 1, then the last.
fn draw(row: &[f32], at: f32) -> usize {
    let mut sum = 0.0;
    row.iter()
        .position(|probability| {
            sum += probability;
            at < sum
        })
        .unwrap_or(row.len() - 1)
}
