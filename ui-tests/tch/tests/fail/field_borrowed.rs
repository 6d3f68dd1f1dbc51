use backstop::Migrate;
use tch::Tensor;

#[derive(Migrate)]
struct Batch {
    weights: &'static Tensor,
    size: i64,
}

#[derive(Migrate)]
struct Lent<'a> {
    weights: &'a Tensor,
}

fn main() {}
