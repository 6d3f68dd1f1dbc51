use backstop::safe_mps_op;

#[safe_mps_op(result = "gpu")]
fn unknown_place() {}

#[safe_mps_op(snapshot = true)]
fn flag() {}

#[safe_mps_op(name)]
fn no_value() {}

fn main() {}
