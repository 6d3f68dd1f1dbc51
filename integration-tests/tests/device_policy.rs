//! What a policy's `device` table says about a function's calls.
#![cfg(not(feature = "disable-decorators"))]

use backstop::{Backstop, FunctionStats, safe_mps_op, timeout_async};
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1])).unwrap()
}

fn stats(function: &str) -> FunctionStats {
    let name = format!("device_policy::{function}");
    backstop::stats().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name} is not annotated"))
}

fn policies() -> Backstop {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/device.toml");
    backstop::Builder::new().policies(path).install().unwrap()
}

#[safe_mps_op]
fn denied(x: &Tensor, ran_on: &mut Vec<Device>) -> Result<Tensor, TchError> {
    ran_on.push(x.device());
    x.f_abs()
}

#[test]
fn a_function_on_the_deny_list_never_sees_the_device() {
    let Ok(_orders) = Orders::take() else { return };
    let _backstop = policies();
    let mut ran_on = Vec::new();
    let y = denied(&on_mps(&[-1.0]), &mut ran_on).unwrap();
    assert_eq!((values(&y), y.device(), ran_on), (vec![1.0], Device::Mps, vec![Device::Cpu]));
    assert_eq!(stats("denied").device_fallbacks, 0, "nothing has failed");
}

#[safe_mps_op]
fn checked(x: &Tensor, y: &Tensor, ran_on: &mut Vec<Device>) -> Result<Tensor, TchError> {
    ran_on.push(x.device());
    x.f_add(y)
}

fn where_checked_runs(x: &Tensor, y: &Tensor) -> Vec<Device> {
    let mut ran_on = Vec::new();
    let sum = checked(x, y, &mut ran_on).unwrap();
    let expected = x.to_device(Device::Cpu) + y.to_device(Device::Cpu);
    assert_eq!(values(&sum), values(&expected));
    ran_on
}

#[test]
fn what_would_end_the_process_is_found_before_the_body_runs() {
    let Ok(_orders) = Orders::take() else { return };
    let _backstop = policies();
    let x = on_mps(&[1.0, 2.0]);
    assert_eq!(where_checked_runs(&x, &on_mps(&[3.0, 4.0])), [Device::Mps], "nothing is wrong with these");
    assert_eq!(where_checked_runs(&x, &Tensor::from(5.0_f32)), [Device::Mps], "single numbers may come from the CPU");
    assert_eq!(where_checked_runs(&x, &Tensor::from_slice(&[3.0_f32, 4.0])), [Device::Cpu], "two devices");
    assert_eq!(where_checked_runs(&x, &Tensor::from_slice(&[3.0_f64, 4.0])), [Device::Cpu], "float64");
    assert_eq!(where_checked_runs(&x.reshape([1_i64; 15].into_iter().chain([2]).collect::<Vec<_>>()), &x), [Device::Mps], "16 axes");
    assert_eq!(where_checked_runs(&x.reshape([1_i64; 16].into_iter().chain([2]).collect::<Vec<_>>()), &x), [Device::Cpu], "17 axes");
    let long = Tensor::zeros([1], (Kind::Float, Device::Cpu)).to_device(Device::Mps).expand([i64::from(i32::MAX) + 1], false);
    let mut ran_on = Vec::new();
    let first = checked_view(&long, &mut ran_on).unwrap();
    assert_eq!((values(&first), ran_on), (vec![0.0], vec![Device::Cpu]), "an axis that is too long");
    assert_eq!(stats("checked").device_fallbacks, 3);
    assert_eq!(sim_mps::counts().raised, 0);
}

#[safe_mps_op]
fn checked_view(x: &Tensor, ran_on: &mut Vec<Device>) -> Result<Tensor, TchError> {
    ran_on.push(x.device());
    x.f_narrow(0, 0, 1)?.f_abs()
}

#[safe_mps_op]
async fn checked_async(x: Tensor, y: &Tensor, ran_on: &mut Vec<Device>) -> Result<Tensor, TchError> {
    ran_on.push(x.device());
    x.f_add(y)
}

#[tokio::test]
async fn the_asynchronous_form_is_checked_too() {
    let Ok(_orders) = Orders::take() else { return };
    let _backstop = policies();
    let mut ran_on = Vec::new();
    let sum = checked_async(on_mps(&[1.0]), &Tensor::from_slice(&[2.0_f32]), &mut ran_on).await.unwrap();
    assert_eq!((values(&sum), sum.device(), ran_on), (vec![3.0], Device::Mps, vec![Device::Cpu]));
}

#[timeout_async(secs = 60)]
#[safe_mps_op]
async fn both(x: Tensor) -> Result<Tensor, Box<dyn std::error::Error + Send + Sync>> {
    Ok(x.f_abs()?)
}

#[tokio::test]
async fn a_call_of_a_function_with_both_attributes_counts_once() {
    let Ok(orders) = Orders::take() else { return };
    let _backstop = policies();
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(values(&both(on_mps(&[-1.0])).await.unwrap()), [1.0]);
    let row = stats("both");
    assert_eq!((row.calls, row.in_flight, row.device_fallbacks, row.kinds.len()), (1, 0, 1, 2));
}

#[safe_mps_op]
fn growing(list: &mut Vec<Tensor>) -> Result<Device, TchError> {
    let next = list[0].f_abs()?;
    list.push(next);
    Ok(list[0].device())
}

#[test]
fn a_probe_counts_for_the_arguments_as_they_came() {
    let Ok(orders) = Orders::take() else { return };
    let _backstop = policies();
    let call = || growing(&mut vec![on_mps(&[-1.0])]).unwrap();
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(call(), Device::Cpu);
    orders.reset();
    // The policy's time for `growing`.
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(call(), Device::Mps, "the probe");
    assert_eq!(call(), Device::Mps, "it was of a list of one tensor, although it left a list of two");
}
