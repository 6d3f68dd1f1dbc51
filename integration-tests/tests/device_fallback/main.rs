//! `#[safe_mps_op]` on the simulated device: what falls back, what does not, and what is left behind.
#![cfg(not(feature = "disable-decorators"))]

mod by_hand;
mod made;
mod nested;
mod network;
mod results;
mod rollback;
mod routes;
mod steps;

use backstop::safe_mps_op;
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).reshape([-1])).unwrap()
}

#[safe_mps_op]
fn doubled(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()?.f_mul_scalar(2.0)
}

#[test]
fn a_missing_operator_is_computed_on_the_cpu_and_comes_back_to_the_device() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    let y = doubled(&x).unwrap();
    assert_eq!(y.device(), Device::Mps);
    assert_eq!(values(&y), [2.0, 4.0]);
    assert_eq!(sim_mps::counts().raised, 1);
}

#[safe_mps_op]
fn panicking(x: &Tensor, factor: f64) -> Tensor {
    x.abs() * factor
}

#[test]
fn a_panic_of_tchs_plain_methods_falls_back_too() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(values(&panicking(&x, 3.0)), [3.0, 6.0]);
}

#[test]
fn without_a_fault_the_function_runs_once_and_copies_nothing() {
    let Ok(_orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    let before = sim_mps::counts().dispatched;
    let bare = x.f_abs().and_then(|x| x.f_mul_scalar(2.0)).unwrap();
    let cost = sim_mps::counts().dispatched - before;
    let y = doubled(&x).unwrap();
    assert_eq!(sim_mps::counts().dispatched, before + 2 * cost);
    assert_eq!((values(&y), y.device()), (values(&bare), Device::Mps));
}

#[safe_mps_op]
fn multiplied(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    a.f_mm(b)
}

#[test]
fn an_error_of_the_program_passes_through_untouched() {
    let Ok(_orders) = Orders::take() else { return };
    let (a, b) = (Tensor::ones([2, 3], (Kind::Float, Device::Mps)), Tensor::ones([2, 3], (Kind::Float, Device::Mps)));
    let guarded = multiplied(&a, &b).unwrap_err().to_string();
    assert!(guarded.contains("shapes cannot be multiplied"), "{guarded}");
    assert!(!guarded.contains("backstop"), "{guarded}");
}

#[safe_mps_op]
fn fails_on_both(x: &Tensor) -> Result<Tensor, TchError> {
    let _ = x.f_abs()?;
    x.f_view([3, 3])
}

#[test]
fn when_the_cpu_fails_too_the_error_says_both() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    let error = fails_on_both(&on_mps(&[1.0])).unwrap_err().to_string();
    let (first, second) = (error.find("The operator 'aten::abs").unwrap(), error.find("failed on the CPU too").unwrap());
    assert!(first < second, "{error}");
    assert!(error[second..].contains("invalid for input of size 1"), "{error}");
}

#[safe_mps_op]
fn outer(x: &Tensor) -> Result<Tensor, TchError> {
    doubled(x)?.f_abs()
}

#[test]
fn inside_a_fallback_annotated_functions_run_plainly() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(values(&outer(&x).unwrap()), [2.0, 4.0]);
}

#[test]
fn the_grad_mode_is_as_before_after_a_caught_panic() {
    #[safe_mps_op]
    fn in_no_grad(x: &Tensor) -> Tensor {
        tch::no_grad(|| x.abs())
    }
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0]);
    orders.unimplemented("aten::abs").unwrap();
    let _ = in_no_grad(&x);
    let w = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    assert!((&w * 2.0).requires_grad());
}

#[backstop::timeout_async(secs = 5, name = "device.named_by_the_guard")]
#[safe_mps_op]
async fn named_by_the_guard(x: &Tensor) -> Result<Tensor, Box<dyn std::error::Error + Send + Sync>> {
    Ok(x.f_abs()?)
}

#[safe_mps_op(name = "device.named_by_the_fallback")]
#[backstop::timeout_async(secs = 5)]
async fn named_by_the_fallback(x: &Tensor) -> Result<Tensor, Box<dyn std::error::Error + Send + Sync>> {
    Ok(x.f_abs()?)
}

#[tokio::test]
async fn a_name_in_one_attribute_is_the_name_of_both() {
    let x = Tensor::from_slice(&[-1.0f32]);
    assert_eq!(values(&named_by_the_guard(&x).await.unwrap()), [1.0]);
    assert_eq!(values(&named_by_the_fallback(&x).await.unwrap()), [1.0]);
    let sites = |name| backstop::sites().iter().filter(|site| site.name() == name).count();
    assert_eq!((sites("device.named_by_the_guard"), sites("device.named_by_the_fallback")), (2, 2));
}

macro_rules! with_block {
    ($name:ident($($argument:ident: $type:ty),*) -> $returned:ty $body:block) => {
        #[safe_mps_op]
        fn $name($($argument: $type),*) -> $returned $body
    };
}

with_block!(made_of_a_block(returned: &mut Tensor, arguments: &str) -> Result<i64, TchError> {
    *returned = returned.f_abs()?;
    Ok(returned.numel() as i64 + arguments.len() as i64)
});

#[test]
fn a_function_made_by_a_macro_falls_back() {
    let Ok(orders) = Orders::take() else { return };
    let mut x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(made_of_a_block(&mut x, "abc").unwrap(), 5);
    assert_eq!(values(&x), [1.0, 2.0]);
}

#[safe_mps_op]
fn conditional(x: &Tensor, #[cfg(any())] gone: u8, #[cfg(not(any()))] factor: f64) -> Result<Tensor, TchError> {
    x.f_mul_scalar(factor)
}

#[test]
fn a_parameter_may_be_conditional() {
    let orders = Orders::take().unwrap();
    let x = on_mps(&[1.0, 2.0]);
    orders.unimplemented("aten::mul").unwrap();
    assert_eq!(values(&conditional(&x, 2.0).unwrap()), [2.0, 4.0]);
}
