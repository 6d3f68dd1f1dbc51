use backstop::Migrate;
use tch::Tensor;

#[derive(Migrate)]
struct Agent {
    weights: Tensor,
    lock: std::sync::Mutex<u64>,
}

#[derive(Migrate)]
enum Either {
    Module(Box<dyn tch::nn::Module>),
    Tensor(Tensor),
}

fn main() {}
