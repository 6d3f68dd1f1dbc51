//! The three loops that run while the market is open. They never end by themselves: the market's close or a stop ends them. All of them
//! beat, so that silence means trouble.
//!
//! Trading and learning go in lock step: after every lesson the trader waits for the learner's new weights, so that a run does not depend
//! on which of them is faster.

mod desk;
mod learner;
mod monitor;
mod pace;

pub use desk::{Desk, Opening};
pub use learner::{Learner, Lesson};
pub use monitor::{Health, Monitor};
pub use pace::Pace;

use backstop::timeout_async;

use crate::TradingError;

/// Trades until the market closes or the run is stopped: fetch a bar, decide, send orders, learn. The number of bars traded.
///
/// # Errors
/// If the exchange refuses a request or stays silent, or libtorch refuses an operation on every device.
///
/// # Cancellation
/// Safe at every await: the exchange takes no request twice, and the desk remembers the bar it is at.
#[timeout_async(idle_secs = 60)]
pub async fn trading_loop(desk: &mut Desk) -> Result<usize, TradingError> {
    loop {
        desk.wait_for_next_bar().await;
        if desk.stopped() || !desk.trade_one_bar().await? {
            return Ok(desk.bars_traded());
        }
        backstop::beat_with(format_args!("{} bars traded", desk.bars_traded()));
    }
}

/// Learns from every lesson the trader sends, until the trader is gone. The number of lessons.
///
/// # Errors
/// If libtorch refuses an operation on every device.
///
/// # Cancellation
/// Safe: a lesson is applied whole or not at all.
#[timeout_async(idle_secs = 60)]
pub async fn continual_learning_loop(learner: &mut Learner) -> Result<usize, TradingError> {
    while let Some(lesson) = learner.next_lesson().await {
        learner.learn(lesson)?;
        backstop::beat_with(format_args!("{} lessons learnt", learner.lessons()));
    }
    Ok(learner.lessons())
}

/// Looks at the account now and then, until the run is stopped or the trader is done.
///
/// # Errors
/// None by itself: an account that cannot be had is counted, and asked for again.
///
/// # Cancellation
/// Safe: it only reads.
#[timeout_async(idle_secs = 60)]
pub async fn monitoring_loop(monitor: &mut Monitor) -> Result<Health, TradingError> {
    while monitor.wait().await {
        monitor.look().await;
        backstop::beat();
    }
    Ok(monitor.health())
}
