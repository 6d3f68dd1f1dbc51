//! Training on the past, before the market opens.

use backstop::{Migrate, safe_mps_op, timeout_async};
use fastrand::Rng;
use tch::Device;

use crate::TradingError;
use crate::api::Quotes;
use crate::data_preprocessing::{clean, split, table, to_device};
use crate::feature_engineering::{MarketStates, market_states};
use crate::rl_agents::a3c::{Agent, Worker, evaluate};
use crate::session::{Progress, Stage};

/// Workers that share the network.
const WORKERS: usize = 2;
/// The part of the past that is learnt from; the rest checks what was learnt.
const LEARN_FROM: f64 = 0.8;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Migrate)]
pub struct Plan {
    /// Rounds in which every worker has one turn.
    pub rounds: usize,
    /// Decides the order of turns, the episodes and the actions.
    pub seed: u64,
    /// Where workers act and compute gradients.
    pub device: Device,
}

/// The past, as the agent sees it.
#[derive(Debug, Migrate)]
pub struct Past {
    /// What it learns from.
    pub training: MarketStates,
    /// What it has never seen.
    pub held_out: MarketStates,
}

impl Past {
    /// Prepares the history: cleaned, split, and as features, computed on the device.
    ///
    /// # Errors
    /// If it is too short, or libtorch refuses an operation on every device.
    pub fn prepare(history: &[Quotes], device: Device) -> Result<Self, TradingError> {
        let cleaned = clean(&to_device(&table(history)?, device)?)?;
        let parts = split(&cleaned, LEARN_FROM)?;
        Ok(Self { training: market_states(&parts.training)?, held_out: market_states(&parts.held_out)? })
    }
}

/// What came out of training.
#[derive(Debug, Migrate)]
pub struct Trained {
    /// The agent after the last round.
    pub agent: Agent,
    /// Its mean reward a bar, in percent, over bars it has never seen.
    pub held_out_reward: f32,
}

/// Trains an agent on the past: `rounds` times each worker in turn, or until the run is stopped. A pure function of its arguments (the agent given stays as it was), so
/// that running it again from the start gives the same agent.
///
/// # Errors
/// If libtorch refuses an operation on every device, or the time is up.
///
/// # Cancellation
/// Safe: between two turns it yields, and a dropped call has changed nothing.
#[timeout_async(secs = 300)]
#[safe_mps_op(result = "cpu")]
pub async fn main_training_loop(start: &Agent, past: &Past, plan: Plan, progress: &Progress) -> Result<Trained, TradingError> {
    let mut rng = Rng::with_seed(plan.seed);
    let mut workers = (0..WORKERS).map(|_| Worker::new(start, &past.training, plan.device, rng.u64(..))).collect::<Result<Vec<_>, _>>()?;
    let mut agent = start.share();
    let mut order: Vec<usize> = (0..WORKERS).collect();
    for round in 0..plan.rounds {
        if progress.stopped() {
            break;
        }
        rng.shuffle(&mut order);
        for turn in &order {
            agent = workers[*turn].turn(&agent)?;
            tokio::task::yield_now().await;
        }
        backstop::beat_with(format_args!("round {} of {}", round + 1, plan.rounds));
        progress.update(|status| status.stage = Stage::Training { round: round + 1, rounds: plan.rounds });
    }
    let held_out_reward = evaluate(&agent.local(plan.device)?, &past.held_out, plan.device)?;
    Ok(Trained { agent, held_out_reward })
}
