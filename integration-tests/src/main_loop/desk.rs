//! The trading desk: what it knows, holds, and decides bar by bar.

use std::collections::VecDeque;

use fastrand::Rng;
use tch::{Device, Tensor};
use tokio::sync::{mpsc, oneshot};

use super::{Lesson, Pace};
use crate::TradingError;
use crate::api::{self, Account, Client, Order, Orders, Quotes};
use crate::data_preprocessing::{clean, numbers, table, to_device};
use crate::feature_engineering::{WARM_UP, market_states};
use crate::portfolio::EquityCurve;
use crate::rl_agents::a3c::{ACTIONS, Experience, Parameters, policy, rewards, sample, value, with_positions};
use crate::session::{Progress, Stage};

/// Bars between two lessons for the learner.
const LESSON: usize = 10;

/// Trades one account.
#[derive(Debug)]
pub struct Desk {
    client: Client,
    device: Device,
    /// On the device.
    weights: Parameters,
    rng: Rng,
    discount: f32,
    history: VecDeque<Quotes>,
    next_bar: usize,
    closes_at: usize,
    /// The action in force for each symbol, by its number.
    actions: Vec<usize>,
    /// The part held of each symbol before these actions.
    before: Vec<f32>,
    experience: Experience,
    lessons: mpsc::Sender<Lesson>,
    curve: EquityCurve,
    pace: Pace,
    progress: Progress,
}

/// What a desk starts with.
#[derive(Debug)]
pub struct Opening {
    /// The exchange.
    pub client: Client,
    /// Where the policy runs.
    pub device: Device,
    /// The trained weights, on that device.
    pub weights: Parameters,
    /// Decides the actions drawn.
    pub seed: u64,
    /// How much a reward one bar later is worth.
    pub discount: f32,
    /// The bars before the opening; at least [`WARM_UP`].
    pub history: Vec<Quotes>,
    /// The number of bars in all.
    pub closes_at: usize,
    /// Money in the account.
    pub cash: f64,
    /// The learner.
    pub lessons: mpsc::Sender<Lesson>,
    /// How fast bars come.
    pub pace: Pace,
    /// Who is told.
    pub progress: Progress,
}

impl Desk {
    /// A desk that holds nothing yet.
    #[must_use]
    pub fn open(opening: Opening) -> Self {
        let Opening { client, device, weights, seed, discount, history, closes_at, cash, lessons, pace, progress } = opening;
        let symbols = history.last().map_or(0, |bar| bar.quotes.len());
        let next_bar = history.last().map_or(0, |bar| bar.bar + 1);
        let mut history = VecDeque::from(history);
        history.drain(..history.len().saturating_sub(WARM_UP));
        let (actions, before) = (vec![0; symbols], vec![0.0; symbols]);
        let (rng, experience, curve) = (Rng::with_seed(seed), Experience::default(), EquityCurve::new(cash));
        Self {
            client,
            device,
            weights,
            rng,
            discount,
            history,
            next_bar,
            closes_at,
            actions,
            before,
            experience,
            lessons,
            curve,
            pace,
            progress,
        }
    }

    /// The equity after each bar so far.
    #[must_use]
    pub fn curve(&self) -> &EquityCurve {
        &self.curve
    }

    /// How many bars were traded.
    #[must_use]
    pub fn bars_traded(&self) -> usize {
        self.curve.points().len()
    }

    pub(super) fn stopped(&self) -> bool {
        self.progress.stopped()
    }

    pub(super) async fn wait_for_next_bar(&mut self) {
        let mut progress = self.progress.clone();
        tokio::select! {
            () = self.pace.next() => {}
            () = progress.stop() => {}
        }
    }

    /// One bar, or another attempt at it where only old quotes could be had; `false` when the market has closed.
    pub(super) async fn trade_one_bar(&mut self) -> Result<bool, TradingError> {
        let quotes = api::fetch_quotes(&self.client, self.next_bar).await?;
        if quotes.stale {
            return Ok(true);
        }
        if quotes.market_closed() {
            return Ok(false);
        }
        let bar = quotes.bar;
        let closes: Vec<f64> = quotes.quotes.iter().map(|quote| quote.adjusted_close).collect();
        let (features, returns) = self.look_at(quotes)?;
        self.reward(&returns);
        let account = api::fetch_account(&self.client).await?;
        let states = with_positions(&features, &self.held())?;
        if let Some((lesson, improved)) = self.lesson(&states)? {
            self.teach(lesson, improved).await?;
        }
        let orders = self.decide(states, &account, &closes)?;
        api::send_orders(&self.client, bar, &orders).await?;
        self.book(bar, &account);
        Ok(true)
    }

    /// Takes in a bar: the features `[symbols, FEATURES]` it led to, and the returns.
    fn look_at(&mut self, quotes: Quotes) -> Result<(Tensor, Vec<f32>), TradingError> {
        self.history.push_back(quotes);
        self.history.pop_front();
        let cleaned = clean(&to_device(&table(self.history.make_contiguous())?, self.device)?)?;
        let seen = market_states(&cleaned)?;
        Ok((seen.states.f_select(0, -1)?, numbers(&seen.returns.f_select(0, -1)?)?))
    }

    /// The part held of each symbol by the actions in force.
    fn held(&self) -> Vec<f32> {
        self.actions.iter().map(|action| ACTIONS[*action]).collect()
    }

    fn reward(&mut self, returns: &[f32]) {
        let rewards = rewards(&self.before, &self.held(), returns);
        self.experience.rewarded(rewards);
    }

    /// A full lesson and where the new weights will come; `None` while it is not full. What follows it is valued by the critic.
    fn lesson(&mut self, states: &Tensor) -> Result<Option<(Lesson, oneshot::Receiver<Parameters>)>, TradingError> {
        if self.experience.len() < LESSON {
            return Ok(None);
        }
        let beyond = numbers(&value(&self.weights, &to_device(states, self.device)?)?)?;
        let rollout = std::mem::take(&mut self.experience).finish(&beyond, self.discount)?;
        let (reply, improved) = oneshot::channel();
        Ok(Some((Lesson { rollout, reply }, improved)))
    }

    /// Hands a lesson to the learner and waits for the new weights.
    async fn teach(&mut self, lesson: Lesson, improved: oneshot::Receiver<Parameters>) -> Result<(), TradingError> {
        let gone = || TradingError::Setup("the learner has ended while the market is open".to_owned());
        self.lessons.send(lesson).await.map_err(|_| gone())?;
        self.weights = improved.await.map_err(|_| gone())?;
        Ok(())
    }

    /// Draws an action for each symbol; an order for each that differs from the one in force.
    fn decide(&mut self, states: Tensor, account: &Account, closes: &[f64]) -> Result<Orders, TradingError> {
        let probabilities = policy(&self.weights, &to_device(&states, self.device)?)?;
        let drawn = sample(&probabilities, &mut self.rng)?;
        let each = account.equity / f64::from(u32::try_from(closes.len()).unwrap_or(1).max(1));
        let mut orders = Vec::new();
        for (symbol, position) in account.positions.iter().enumerate() {
            if drawn[symbol] != self.actions[symbol] {
                let shares = target_shares(each, ACTIONS[drawn[symbol]], closes[symbol]) - position.shares;
                orders.push(Order { symbol: position.symbol.clone(), shares });
            }
        }
        self.before = self.held();
        self.experience.acted(states, drawn.clone());
        self.actions = drawn;
        Ok(Orders { orders })
    }

    fn book(&mut self, bar: usize, account: &Account) {
        self.curve.push(account.equity);
        self.next_bar = bar + 1;
        let (equity, profit) = (account.equity, self.curve.profit());
        let (bar, bars) = (self.bars_traded(), self.closes_at.saturating_sub(self.next_bar) + self.bars_traded());
        self.progress.update(|status| {
            status.stage = Stage::Trading { bar, bars };
            status.equity = equity;
            status.profit = profit;
        });
    }
}

/// The shares that this part of the money buys at this price.
#[expect(clippy::cast_possible_truncation, reason = "no account here holds 2^52 shares")]
fn target_shares(money: f64, part: f32, price: f64) -> i64 {
    (money * f64::from(part) / price).floor() as i64
}

#[cfg(test)]
mod tests {
    use super::target_shares;

    #[test]
    fn a_target_never_costs_more_than_its_money() {
        assert_eq!(target_shares(1000.0, 0.5, 99.0), 5);
        assert_eq!(target_shares(1000.0, 0.0, 99.0), 0);
    }
}
