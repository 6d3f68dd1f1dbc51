//! Learns on while the market is open.

use std::time::Duration;

use tch::Device;
use tokio::sync::{mpsc, oneshot};

use crate::TradingError;
use crate::rl_agents::a3c::{Agent, Parameters, Rollout};

/// How long the learner waits in silence before it says that it waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the trader has lived through, and where it waits for better weights.
#[derive(Debug)]
pub struct Lesson {
    /// States, actions and returns, on the CPU.
    pub rollout: Rollout,
    /// Takes the new weights, on the device.
    pub reply: oneshot::Sender<Parameters>,
}

/// Improves the shared network by the trader's lessons.
#[derive(Debug)]
pub struct Learner {
    agent: Agent,
    device: Device,
    inbox: mpsc::Receiver<Lesson>,
    lessons: usize,
}

impl Learner {
    /// A learner that goes on from this agent.
    #[must_use]
    pub fn new(agent: Agent, device: Device, inbox: mpsc::Receiver<Lesson>) -> Self {
        Self { agent, device, inbox, lessons: 0 }
    }

    /// The agent after the last lesson.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// How many lessons were learnt.
    #[must_use]
    pub fn lessons(&self) -> usize {
        self.lessons
    }

    /// The next lesson; `None` when the trader is gone. Beats while it waits: waiting for a slow market is no stall.
    pub(super) async fn next_lesson(&mut self) -> Option<Lesson> {
        loop {
            if let Ok(lesson) = tokio::time::timeout(PATIENCE, self.inbox.recv()).await {
                return lesson;
            }
            backstop::beat_with("waiting for a lesson");
        }
    }

    /// One step of the optimizer, from gradients that two guarded functions compute; then the reply.
    pub(super) fn learn(&mut self, lesson: Lesson) -> Result<(), TradingError> {
        let local = self.agent.local(self.device)?;
        let gradients = self.agent.gradients(&local, &lesson.rollout.to_device(self.device)?)?;
        self.agent = self.agent.learn(&gradients)?;
        self.lessons += 1;
        // A trader that was stopped in the meantime needs no weights.
        let _ = lesson.reply.send(self.agent.local(self.device)?);
        Ok(())
    }
}
