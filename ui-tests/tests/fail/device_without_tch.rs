use backstop::safe_mps_op;

#[safe_mps_op]
fn loss(batch: &[f32]) -> f32 {
    batch.iter().sum()
}

fn main() {
    println!("{}", loss(&[1.0]));
}
