use backstop::safe_mps_op;

#[safe_mps_op]
const fn window() -> i64 {
    20
}

fn main() {}
