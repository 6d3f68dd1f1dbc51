use std::sync::Mutex;

use backstop::{Migrate, safe_mps_op};
use tch::Tensor;

#[derive(Migrate)]
struct Agent {
    weights: Tensor,
    #[migrate(skip)]
    lock: Mutex<u64>,
}

#[safe_mps_op]
fn by_reference(agent: &Agent) -> Tensor {
    &agent.weights * 2.0
}

#[safe_mps_op]
fn by_value(agent: Agent) -> Tensor {
    &agent.weights * 2.0
}

impl Agent {
    #[safe_mps_op]
    async fn method(&self, x: &Tensor) -> Tensor {
        x * &self.weights
    }
}

#[safe_mps_op]
fn in_a_slice(agents: &[Agent]) -> Tensor {
    &agents[0].weights * 2.0
}

#[safe_mps_op]
fn in_an_option(agent: Option<&Agent>) -> Option<Tensor> {
    agent.map(|agent| &agent.weights * 2.0)
}

fn main() {}
