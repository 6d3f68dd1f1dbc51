//! Adam (Kingma and Ba, 2015), as a pure function: a step makes new tensors, so that no failure can leave half of one behind.

use backstop::Migrate;
use tch::{TchError, Tensor};

use super::network::Parameters;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The state of the optimizer.
#[derive(Debug, Migrate)]
pub struct Adam {
    mean: Parameters,
    square: Parameters,
    steps: i32,
}

impl Adam {
    /// Before the first step.
    ///
    /// # Errors
    /// If libtorch cannot make the tensors.
    pub fn new(weights: &Parameters) -> Result<Self, TchError> {
        Ok(Self { mean: weights.map(Tensor::f_zeros_like)?, square: weights.map(Tensor::f_zeros_like)?, steps: 0 })
    }

    /// The weights after one step along these gradients, and the optimizer after it.
    ///
    /// # Errors
    /// If libtorch refuses an operation; then nothing has changed.
    pub fn step(&self, weights: &Parameters, gradients: &Parameters, rate: f64) -> Result<(Parameters, Self), TchError> {
        let steps = self.steps.saturating_add(1);
        let mean = self.mean.zip(gradients, |mean, g| moving(mean, g, BETA_1))?;
        let square = self.square.zip(gradients, |square, g| moving(square, &g.f_square()?, BETA_2))?;
        let size = rate / (1.0 - BETA_1.powi(steps));
        let scale = (1.0 - BETA_2.powi(steps)).sqrt();
        let direction = mean.zip(&square, |mean, square| mean.f_div(&square.f_sqrt()?.f_div_scalar(scale)?.f_add_scalar(EPSILON)?))?;
        let weights = weights.zip(&direction, |weight, direction| weight.f_sub(&direction.f_mul_scalar(size)?))?;
        Ok((weights, Self { mean, square, steps }))
    }

    /// How many steps were taken.
    #[must_use]
    pub fn steps(&self) -> i32 {
        self.steps
    }

    /// The same state once more.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { mean: self.mean.share(), square: self.square.share(), steps: self.steps }
    }
}

fn moving(average: &Tensor, value: &Tensor, beta: f64) -> Result<Tensor, TchError> {
    average.f_mul_scalar(beta)?.f_add(&value.f_mul_scalar(1.0 - beta)?)
}
