//! Stretches a run over real time. Only waiting depends on it, never a decision.

use std::time::Duration;

use tokio::time::Instant;

/// When the next bar is due.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    a_bar: Duration,
    bars: u32,
}

impl Pace {
    /// From now on one bar each `a_bar`; a run that fell behind catches up. Zero: as fast as it goes.
    #[must_use]
    pub fn from_now(a_bar: Duration) -> Self {
        Self { start: Instant::now(), a_bar, bars: 0 }
    }

    /// Waits until the next bar is due.
    pub async fn next(&mut self) {
        let due = self.start + self.a_bar * self.bars;
        self.bars = self.bars.saturating_add(1);
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}
