use std::future::Future;
use std::pin::Pin;

use backstop::safe_mps_op;

#[safe_mps_op]
fn loss(batch: &Vec<f32>) -> Pin<Box<dyn Future<Output = f32>>> {
    let sum = batch.iter().sum();
    Box::pin(async move { sum })
}

struct Agent;

impl Agent {
    #[safe_mps_op]
    fn named(&self, x: f32) -> Pin<Box<dyn Future<Output = f32> + Send + 'static>> {
        Box::pin(async move { x })
    }
}

fn main() {}
