use std::future::Future;

use backstop::safe_mps_op;

#[safe_mps_op]
const fn at_compile_time(x: f64) -> f64 {
    x
}

#[safe_mps_op]
fn a_future(x: f64) -> impl Future<Output = f64> {
    async move { x }
}

#[safe_mps_op]
struct Policy;

#[safe_mps_op]
fn with_cfg(x: f64, #[cfg(unix)] y: f64) -> f64 {
    x + y
}

trait Agent {
    #[safe_mps_op]
    fn act(&self) -> f64;
}

fn main() {}
