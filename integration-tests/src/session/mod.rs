//! One run of the whole system: exchange, history, training, trading, learning on.

mod progress;

use std::time::{Duration, Instant};

use tch::Device;
use tokio::sync::mpsc;

use crate::TradingError;
use crate::api::{self, Client, Quotes};
use crate::exchange::Exchange;
use crate::feature_engineering::WARM_UP;
use crate::main_loop::{Desk, Health, Learner, Monitor, Opening, Pace, continual_learning_loop, monitoring_loop, trading_loop};
use crate::market::Market;
use crate::portfolio::EquityCurve;
use crate::rl_agents::a3c::{Agent, Hyper};
use crate::training_loop::{Past, Plan, Trained, main_training_loop};
pub use progress::{Progress, Stage, Status, Supervisor, progress};

/// How a run is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// Where tensor functions run.
    pub device: Device,
    /// Bars before the market opens.
    pub history: usize,
    /// Bars to trade.
    pub bars: usize,
    /// Rounds of training before the market opens.
    pub rounds: usize,
    /// Money to start with.
    pub cash: f64,
    /// How long the whole run lasts, at least; zero: as fast as it goes. Decisions do not depend on it.
    pub lasts: Duration,
    /// How often the account is looked at from the side.
    pub look_every: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 7,
            device: Device::Cpu,
            history: 1500,
            bars: 250,
            rounds: 300,
            cash: 100_000.0,
            lasts: Duration::ZERO,
            look_every: Duration::from_secs(1),
        }
    }
}

/// What came out of a run.
#[derive(Debug)]
pub struct Report {
    /// Equity after each bar.
    pub curve: EquityCurve,
    /// Mean reward a bar, in percent, over the part of the past that training has not seen.
    pub held_out_reward: f32,
    /// Lessons learnt while trading.
    pub lessons: usize,
    /// The same only for the same bits in every weight, after the last lesson.
    pub weights: u64,
    /// What the monitor saw.
    pub health: Health,
    /// Whether it was stopped before the market closed.
    pub stopped: bool,
}

/// Runs the system once, over the bundled prices.
///
/// # Errors
/// If the setup does not fit the data, the exchange fails, or libtorch refuses an operation on every device.
///
/// # Cancellation
/// Ends the exchange and everything in it.
pub async fn run(setup: &Setup, progress: &Progress) -> Result<Report, TradingError> {
    tch::set_num_threads(1);
    let started = Instant::now();
    let exchange = open_exchange(setup)?;
    let client = Client::new(exchange.address());
    let history = fetch_whole_history(&client).await?;
    let trained = train(setup, &history, progress).await?;
    let open_for = setup.lasts.saturating_sub(started.elapsed());
    let report = trade(setup, client, history, trained, open_for, progress).await;
    progress.update(|status| status.stage = Stage::Done);
    report
}

fn open_exchange(setup: &Setup) -> Result<Exchange, TradingError> {
    let whole = Market::bundled()?;
    let wanted = setup.history + setup.bars;
    if setup.history < WARM_UP || setup.bars < 1 || wanted > whole.len() {
        let problem = format!(
            "{} bars of history and {} to trade: there must be at least {WARM_UP} and 1, and {} in all",
            setup.history,
            setup.bars,
            whole.len()
        );
        return Err(TradingError::Setup(problem));
    }
    Exchange::open(whole.last(wanted), setup.history, setup.cash)
}

async fn fetch_whole_history(client: &Client) -> Result<Vec<Quotes>, TradingError> {
    let opens_at = api::fetch_market(client).await?.opens_at;
    let mut history = Vec::with_capacity(opens_at);
    while history.len() < opens_at {
        let page = api::fetch_history(client, history.len()).await?;
        if page.is_empty() {
            return Err(TradingError::Setup(format!("the history ends at bar {} of {opens_at}", history.len())));
        }
        history.extend(page);
    }
    Ok(history)
}

async fn train(setup: &Setup, history: &[Quotes], progress: &Progress) -> Result<Trained, TradingError> {
    let past = Past::prepare(history, setup.device)?;
    let start = Agent::new(setup.seed, Hyper::default())?;
    let plan = Plan { rounds: setup.rounds, seed: setup.seed.wrapping_add(1), device: setup.device };
    let trained = main_training_loop(&start, &past, plan, progress).await?;
    tracing::info!(
        target: "trading::training",
        steps = trained.agent.steps(),
        held_out_percent_a_bar = trained.held_out_reward,
        "trained"
    );
    Ok(trained)
}

/// The three loops at once, each in a task of its own. The trader's end ends the others.
async fn trade(
    setup: &Setup,
    client: Client,
    history: Vec<Quotes>,
    trained: Trained,
    open_for: Duration,
    progress: &Progress,
) -> Result<Report, TradingError> {
    let (lessons, inbox) = mpsc::channel(1);
    let bars = u32::try_from(setup.bars).unwrap_or(u32::MAX);
    let mut desk = Desk::open(Opening {
        client: client.clone(),
        device: setup.device,
        weights: trained.agent.local(setup.device)?,
        seed: setup.seed.wrapping_add(2),
        discount: trained.agent.hyper().discount,
        history,
        closes_at: setup.history + setup.bars,
        cash: setup.cash,
        lessons,
        pace: Pace::from_now(open_for / bars),
        progress: progress.clone(),
    });
    let mut learner = Learner::new(trained.agent, setup.device, inbox);
    let mut monitor = Monitor::new(client, setup.look_every, progress.clone());
    let learning = tokio::spawn(async move { (continual_learning_loop(&mut learner).await, learner) });
    let monitoring = tokio::spawn(async move { monitoring_loop(&mut monitor).await });
    let trading = tokio::spawn(async move { (trading_loop(&mut desk).await, desk.curve().clone()) });

    let (traded, curve) = trading.await.map_err(ended)?;
    progress.update(|status| status.stage = Stage::Done);
    let (lessons, learner) = learning.await.map_err(ended)?;
    let health = monitoring.await.map_err(ended)??;
    // If both failed, the learner's error is the cause and the trader's only says that the learner is gone.
    let lessons = lessons?;
    let traded = traded?;
    Ok(Report {
        curve,
        held_out_reward: trained.held_out_reward,
        lessons,
        weights: learner.agent().weights().checksum()?,
        health,
        stopped: traded < setup.bars,
    })
}

fn ended(error: tokio::task::JoinError) -> TradingError {
    TradingError::Setup(format!("a loop ended without a result: {error}"))
}
