use backstop::safe_mps_op;

#[safe_mps_op(result = "gpu")]
fn somewhere_else(x: &f64) -> f64 {
    *x
}

#[safe_mps_op(result)]
fn nowhere(x: &f64) -> f64 {
    *x
}

#[safe_mps_op(snapshot = true)]
fn with_a_value(x: &f64) -> f64 {
    *x
}

fn main() {}
