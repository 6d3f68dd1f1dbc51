//! A worker: explores a stretch of the past with its own copy of the weights, and improves the shared network.

use fastrand::Rng;
use tch::{Device, TchError, Tensor};

use super::{ACTIONS, Agent, Experience, Parameters, TRADING_COST, policy, sample, value};
use crate::data_preprocessing::{batches, length, numbers, to_device};
use crate::feature_engineering::MarketStates;

/// Bars in one episode.
const EPISODE: i64 = 64;
/// Steps between two updates.
const STEPS: usize = 16;
/// Rewards are percent, so that they are about as large as the network's outputs.
const REWARD_SCALE: f32 = 100.0;

/// A stretch of the past to trade in.
#[derive(Debug)]
pub struct Environment {
    /// `[bars, symbols, features]`, on the CPU.
    states: Tensor,
    /// The return of each symbol in each bar.
    returns: Vec<Vec<f32>>,
    at: usize,
    held: Vec<f32>,
}

impl Environment {
    /// The beginning of a stretch, with nothing held: states `[bars, symbols, features]` and returns `[bars, symbols]`, on the CPU.
    ///
    /// # Errors
    /// If libtorch cannot read the returns, or they are not of these shapes.
    pub fn new(states: Tensor, returns: &Tensor) -> Result<Self, TchError> {
        let (_, symbols) = returns.size2()?;
        let symbols = usize::try_from(symbols).unwrap_or(1);
        let returns = numbers(returns)?.chunks(symbols).map(<[f32]>::to_vec).collect();
        Ok(Self { states, returns, at: 0, held: vec![0.0; symbols] })
    }

    /// Whether there is no further bar to act on.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.at + 1 >= self.returns.len()
    }

    /// What the agent sees now: the market and what it holds, `[symbols, inputs]`.
    ///
    /// # Errors
    /// If libtorch cannot make the tensor.
    pub fn state(&self) -> Result<Tensor, TchError> {
        with_positions(&self.states.f_select(0, length(self.at))?, &self.held)
    }

    /// Holds what the actions say until the next bar: the rewards, one a symbol.
    pub fn act(&mut self, actions: &[usize]) -> Vec<f32> {
        let targets: Vec<f32> = actions.iter().map(|action| ACTIONS[*action]).collect();
        let rewards = rewards(&self.held, &targets, &self.returns[self.at + 1]);
        self.held = targets;
        self.at += 1;
        rewards
    }
}

/// The reward of moving from `held` to `targets` before these returns: percent gained, less the cost of trading.
pub(crate) fn rewards(held: &[f32], targets: &[f32], returns: &[f32]) -> Vec<f32> {
    let each = held.iter().zip(targets).zip(returns);
    each.map(|((held, target), gain)| (target * gain - (target - held).abs() * TRADING_COST) * REWARD_SCALE).collect()
}

/// Market features `[symbols, features]` and the part held of each symbol, as one row a symbol.
pub(crate) fn with_positions(features: &Tensor, held: &[f32]) -> Result<Tensor, TchError> {
    Tensor::f_cat(&[features.shallow_clone(), Tensor::f_from_slice(held)?.f_unsqueeze(1)?], 1)
}

/// One of the workers that share a network.
#[derive(Debug)]
pub struct Worker {
    device: Device,
    local: Parameters,
    environment: Environment,
    episodes: Vec<(Tensor, Tensor)>,
    rng: Rng,
}

impl Worker {
    /// A worker on a device, with its own random numbers, in the past given.
    ///
    /// # Errors
    /// If the past is shorter than one episode, or libtorch refuses an operation on every device.
    pub fn new(agent: &Agent, past: &MarketStates, device: Device, seed: u64) -> Result<Self, TchError> {
        let episodes: Vec<_> = batches(&past.states, EPISODE)?.into_iter().zip(batches(&past.returns, EPISODE)?).collect();
        let mut rng = Rng::with_seed(seed);
        let environment = begin(&episodes, &mut rng)?;
        Ok(Self { device, local: agent.local(device)?, environment, episodes, rng })
    }

    /// One turn: explores with the local weights, improves the shared agent by what came out, and takes over its weights.
    ///
    /// # Errors
    /// If libtorch refuses an operation on every device.
    pub fn turn(&mut self, agent: &Agent) -> Result<Agent, TchError> {
        let mut experience = Experience::default();
        while experience.len() < STEPS && !self.environment.ended() {
            let state = self.environment.state()?;
            let probabilities = policy(&self.local, &to_device(&state, self.device)?)?;
            let actions = sample(&probabilities, &mut self.rng)?;
            let rewards = self.environment.act(&actions);
            experience.acted(state, actions);
            experience.rewarded(rewards);
        }
        let beyond = self.beyond()?;
        let rollout = experience.finish(&beyond, agent.hyper().discount)?.to_device(self.device)?;
        let improved = agent.learn(&agent.gradients(&self.local, &rollout)?)?;
        self.local = improved.local(self.device)?;
        if self.environment.ended() {
            self.environment = begin(&self.episodes, &mut self.rng)?;
        }
        Ok(improved)
    }

    /// What the critic expects after the last step; nothing, where the episode ended there.
    fn beyond(&self) -> Result<Vec<f32>, TchError> {
        let state = self.environment.state()?;
        if self.environment.ended() {
            return Ok(vec![0.0; usize::try_from(state.size()[0]).unwrap_or(0)]);
        }
        numbers(&value(&self.local, &to_device(&state, self.device)?)?)
    }
}

fn begin(episodes: &[(Tensor, Tensor)], rng: &mut Rng) -> Result<Environment, TchError> {
    let Some((states, returns)) = episodes.get(rng.usize(..episodes.len().max(1))) else {
        return Err(TchError::Shape(format!("the past is shorter than one episode of {EPISODE} bars")));
    };
    Environment::new(states.shallow_clone(), returns)
}

/// The mean reward of a bar over bars that the agent may never have seen, when it always takes the likeliest action.
pub(crate) fn evaluate(weights: &Parameters, unseen: &MarketStates, device: Device) -> Result<f32, TchError> {
    let mut environment = Environment::new(unseen.states.shallow_clone(), &unseen.returns)?;
    let mut total = 0.0;
    let mut count = 0.0_f32;
    while !environment.ended() {
        let probabilities = numbers(&policy(weights, &to_device(&environment.state()?, device)?)?)?;
        let actions: Vec<usize> = probabilities.chunks(ACTIONS.len()).map(likeliest).collect();
        let rewards = environment.act(&actions);
        total += rewards.iter().sum::<f32>();
        count += 1.0;
    }
    Ok(total / count.max(1.0))
}

fn likeliest(row: &[f32]) -> usize {
    (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0)
}
