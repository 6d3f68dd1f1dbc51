use backstop::safe_mps_op;

#[safe_mps_op(snapshots)]
fn near() {}

#[safe_mps_op(secs = 30)]
fn of_the_other_attribute() {}

#[safe_mps_op(snapshot, snapshot)]
fn twice() {}

fn main() {}
