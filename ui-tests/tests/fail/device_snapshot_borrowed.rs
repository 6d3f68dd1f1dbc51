use backstop::safe_mps_op;

#[safe_mps_op(snapshot)]
fn first<'a>(rows: &'a mut Vec<f32>, scale: &mut f32) -> Option<&'a mut f32> {
    *scale += 1.0;
    rows.first_mut()
}

fn main() {}
