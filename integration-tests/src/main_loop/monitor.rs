//! Watches the account from the side. It only reads, so that a run with it decides as one without it.

use std::time::Duration;

use crate::api::{self, Client};
use crate::session::Progress;

/// A fall from the highest equity, as a part of it, that is worth a warning.
const WORRYING_FALL: f64 = 0.15;

/// What the monitor has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    /// How often the account could be read.
    pub looks: u32,
    /// How often it could not.
    pub failures: u32,
    /// The deepest fall from a high that it saw, as a part of that high.
    pub deepest_fall: f64,
}

/// Looks at the account at an interval.
#[derive(Debug)]
pub struct Monitor {
    client: Client,
    interval: Duration,
    progress: Progress,
    health: Health,
    high: f64,
    warned: bool,
}

impl Monitor {
    /// A monitor that looks once an interval.
    #[must_use]
    pub fn new(client: Client, interval: Duration, progress: Progress) -> Self {
        Self { client, interval, progress, health: Health::default(), high: 0.0, warned: false }
    }

    /// What it has seen so far.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// Waits for the next look; `false` when the run ends.
    pub(super) async fn wait(&mut self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(self.interval) => true,
            () = self.progress.done() => false,
        }
    }

    pub(super) async fn look(&mut self) {
        match api::fetch_account(&self.client).await {
            Ok(account) => self.note(account.equity),
            Err(error) => {
                self.health.failures += 1;
                tracing::warn!(target: "trading::monitor", %error, "the account cannot be read");
            }
        }
    }

    fn note(&mut self, equity: f64) {
        self.health.looks += 1;
        self.high = self.high.max(equity);
        let fall = (self.high - equity) / self.high;
        self.health.deepest_fall = self.health.deepest_fall.max(fall);
        if fall > WORRYING_FALL && !self.warned {
            self.warned = true;
            tracing::warn!(target: "trading::monitor", equity, fall, "the account has fallen far from its high");
        }
    }
}
