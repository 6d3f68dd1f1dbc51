use backstop::safe_mps_op;

#[safe_mps_op(results = "cpu")]
fn near(x: &f64) -> f64 {
    *x
}

#[safe_mps_op(secs = 30)]
fn of_the_other_attribute(x: &f64) -> f64 {
    *x
}

fn main() {}
