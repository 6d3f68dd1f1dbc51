use backstop::Migrate;
use tch::Tensor;

#[derive(Migrate)]
struct Agent {
    #[migrate(skipped)]
    weights: Tensor,
    #[migrate(skip = true)]
    name: String,
}

#[derive(Migrate)]
union Bits {
    float: f32,
    int: u32,
}

fn main() {}
