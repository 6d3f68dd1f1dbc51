use backstop::safe_mps_op;

#[allow(clippy::too_many_arguments, unused)]
#[safe_mps_op]
fn sum(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8) {}

fn main() {}
