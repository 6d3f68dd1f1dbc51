//! Borrowed text beside a tensor: an argument that is passed on as it is, for as long as the caller lends it.
#![cfg(not(feature = "disable-decorators"))]

use backstop::safe_mps_op;
use tch::{Device, Kind, TchError, Tensor};

#[safe_mps_op(result = "cpu")]
fn labelled(values: &Tensor, label: &str) -> Result<(String, f64), TchError> {
    Ok((label.to_owned(), f64::try_from(values.f_sum(Kind::Float)?)?))
}

#[test]
fn text_that_is_not_static_reaches_both_attempts() {
    let label = format!("sum of {}", 3);
    let wanted = Ok((label.clone(), 6.0));
    let values = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]);
    assert_eq!(labelled(&values, &label).map_err(|error| error.to_string()), wanted);
    let Ok(orders) = sim_mps::Orders::take() else { return println!("skipped: no simulated device on this platform") };
    let there = values.to_device(Device::Mps);
    orders.unimplemented("aten::sum").unwrap();
    assert_eq!(labelled(&there, &label).map_err(|error| error.to_string()), wanted);
    assert!(sim_mps::counts().raised > 0, "the device did not fail");
}
