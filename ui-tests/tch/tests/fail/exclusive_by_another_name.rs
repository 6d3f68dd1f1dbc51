use backstop::safe_mps_op;
use tch::{TchError, Tensor};

#[derive(Default)]
struct Counter(u64);

type Lent<'a> = &'a mut Counter;

#[safe_mps_op]
fn kept<'a>(counter: Lent<'a>, all: &mut Vec<&'a mut Counter>, x: &Tensor) -> Result<Tensor, TchError> {
    all.push(counter);
    x.f_abs()
}

#[safe_mps_op]
async fn later(counter: Lent<'_>, x: Tensor) -> Result<Tensor, TchError> {
    counter.0 += 1;
    x.f_abs()
}

fn main() {}
