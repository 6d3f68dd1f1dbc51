//! What a run tells while it lasts, and how it is stopped.

use tokio::sync::watch;

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The history is being fetched.
    #[default]
    Fetching,
    /// The agent learns from the past.
    Training {
        /// Rounds done.
        round: usize,
        /// Rounds in all.
        rounds: usize,
    },
    /// The market is open.
    Trading {
        /// Bars traded.
        bar: usize,
        /// Bars in all.
        bars: usize,
    },
    /// The run is over.
    Done,
}

/// How a run is going.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Status {
    /// Where it stands.
    pub stage: Stage,
    /// Money in the account, invested or not.
    pub equity: f64,
    /// Money won or lost.
    pub profit: f64,
}

/// The run's end of the line: it tells its status, and hears that it should stop. Clones share one line.
#[derive(Clone, Debug)]
pub struct Progress {
    status: watch::Sender<Status>,
    stop: watch::Receiver<bool>,
}

/// The other end: reads the status and can stop the run.
#[derive(Debug)]
pub struct Supervisor {
    /// The status, as it changes.
    pub status: watch::Receiver<Status>,
    stop: watch::Sender<bool>,
}

/// Both ends of a line.
#[must_use]
pub fn progress() -> (Progress, Supervisor) {
    let (status, read) = watch::channel(Status::default());
    let (order, stop) = watch::channel(false);
    (Progress { status, stop }, Supervisor { status: read, stop: order })
}

impl Progress {
    /// Changes the status that the supervisor sees.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    /// Whether the run should stop.
    #[must_use]
    pub fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Returns when the run should stop; never, if its supervisor is gone.
    pub async fn stop(&mut self) {
        if self.stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when the run is over.
    pub async fn done(&self) {
        let mut status = self.status.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = status.wait_for(|status| status.stage == Stage::Done).await;
    }
}

impl Supervisor {
    /// Asks the run to stop at the next bar.
    pub fn stop(&self) {
        // Nobody listens any more: then it has stopped.
        let _ = self.stop.send(true);
    }
}
