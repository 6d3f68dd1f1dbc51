use backstop::safe_mps_op;

#[safe_mps_op]
struct Agent;

trait Loss {
    #[safe_mps_op]
    fn loss(&self) -> f32;
}

fn main() {}
