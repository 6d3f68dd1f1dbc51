use backstop::safe_mps_op;
use tch::Tensor;

struct Opaque;

#[safe_mps_op]
fn scaled(x: &Tensor, by_value: Opaque) -> Tensor {
    let _ = by_value;
    x * 2.0
}

struct Scale;

impl Scale {
    #[safe_mps_op]
    async fn later(self, x: &Tensor) -> Tensor {
        x * 2.0
    }
}

#[safe_mps_op]
fn generic<T: ToString>(x: &Tensor, text: T) -> Tensor {
    assert!(!text.to_string().is_empty());
    x * 2.0
}

fn main() {}
