//! What the caller of `#[safe_mps_op]` gets when both attempts fail, by the type of the error.
#![cfg(not(feature = "disable-decorators"))]

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use backstop::safe_mps_op;
use sim_mps::Orders;
use tch::{Device, TchError, Tensor};

fn on_mps() -> Tensor {
    Tensor::from_slice(&[1.0_f32]).to_device(Device::Mps)
}

/// Fails on the device, which does not know `abs`, and on the CPU by its shape.
fn fails(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()?.f_view([3, 3])
}

fn both_in_order(text: &str) {
    let first = text.find("The operator 'aten::abs").unwrap_or_else(|| panic!("the first is missing: {text}"));
    let second = text.find("failed on the CPU too: ").unwrap_or_else(|| panic!("the second is missing: {text}"));
    assert!(first < second && text[second..].contains("invalid for input of size 1"), "{text}");
}

#[derive(Debug)]
enum TrainError {
    Tensor(TchError),
    Epoch { number: u32, cause: TchError },
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrainError::Tensor(error) => error.fmt(f),
            TrainError::Epoch { number, cause } => write!(f, "epoch {number}: {cause}"),
        }
    }
}

impl Error for TrainError {}

impl From<TchError> for TrainError {
    fn from(error: TchError) -> Self {
        TrainError::Tensor(error)
    }
}

#[safe_mps_op]
fn of_tch(x: &Tensor) -> Result<Tensor, TchError> {
    fails(x)
}

#[safe_mps_op]
fn of_the_program(x: &Tensor) -> Result<Tensor, TrainError> {
    Ok(fails(x)?)
}

#[safe_mps_op]
fn boxed(x: &Tensor) -> Result<Tensor, Box<dyn Error + Send + Sync>> {
    Ok(fails(x)?)
}

#[safe_mps_op]
fn by_panic(x: &Tensor) -> Tensor {
    x.abs().view([3, 3])
}

#[test]
fn when_the_cpu_fails_too_every_error_that_is_made_of_tchs_says_both() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    both_in_order(&of_tch(&on_mps()).unwrap_err().to_string());
    let error = of_the_program(&on_mps()).unwrap_err();
    assert!(matches!(error, TrainError::Tensor(_)));
    both_in_order(&error.to_string());
    let error = boxed(&on_mps()).unwrap_err();
    assert!(error.is::<TchError>(), "it can still be looked into");
    both_in_order(&error.to_string());
    let panic = catch_unwind(AssertUnwindSafe(|| by_panic(&on_mps()))).unwrap_err();
    both_in_order(panic.downcast_ref::<String>().unwrap());
}

#[safe_mps_op]
fn in_context(x: &Tensor, number: u32) -> Result<Tensor, TrainError> {
    fails(x).map_err(|cause| TrainError::Epoch { number, cause })
}

#[test]
fn what_the_program_says_around_an_error_is_not_lost() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    let error = in_context(&on_mps(), 7).unwrap_err();
    assert!(matches!(&error, TrainError::Epoch { number: 7, cause } if cause.to_string().contains("aten::abs")), "{error}");
}

#[derive(Debug)]
struct Foreign(String);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Foreign {}

#[safe_mps_op]
fn foreign(x: &Tensor) -> Result<Tensor, Foreign> {
    x.f_abs().map_err(|error| Foreign(error.to_string()))
}

#[test]
fn an_error_that_is_not_made_of_tchs_is_read_by_its_text() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(foreign(&on_mps()).unwrap().device(), Device::Mps);
    assert_eq!(sim_mps::counts().raised, 1);
}
