//! The rules of the device fallback on a real CUDA device. Without one, each test says so and ends. Not run on a GPU so far.
#![cfg(not(feature = "disable-decorators"))]

use std::io::Write;
use std::process::Command;

use backstop::safe_mps_op;
use tch::{Device, Kind, TchError, Tensor};

/// Set for the process that ruins its device.
const CHILD: &str = "BACKSTOP_TEST_POISONS_CUDA";

fn device() -> Option<Device> {
    if tch::Cuda::is_available() {
        return Some(Device::Cuda(0));
    }
    // Past the harness, which shows nothing of a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: this libtorch sees no CUDA device");
    None
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1])).unwrap()
}

/// Wants 4 TiB on the device, and four bytes on the CPU.
#[safe_mps_op]
fn greedy(x: &Tensor) -> Result<Tensor, TchError> {
    let elements = if x.device() == Device::Cpu { 1 } else { 1 << 40 };
    x.f_add(&Tensor::f_ones([elements], (Kind::Float, x.device()))?.f_narrow(0, 0, 1)?)
}

#[test]
fn a_lack_of_memory_is_survived_on_the_cpu() {
    let Some(device) = device() else { return };
    let sum = greedy(&Tensor::from_slice(&[1.0_f32, 2.0]).to_device(device)).unwrap();
    assert_eq!((values(&sum), sum.device()), (vec![2.0, 3.0], device));
}

#[safe_mps_op]
fn whole_product(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    a.f_mm(b)
}

#[test]
fn a_matrix_product_of_whole_numbers_is_computed_on_the_cpu() {
    let Some(device) = device() else { return };
    let a = Tensor::from_slice(&[1_i64, 2, 3, 4]).reshape([2, 2]).to_device(device);
    assert!(a.f_mm(&a).is_err(), "CUDA has it now: choose another operator");
    let product = whole_product(&a, &a).unwrap();
    assert_eq!((values(&product), product.device()), (vec![7.0, 10.0, 15.0, 22.0], device));
}

#[safe_mps_op]
fn looked_up(x: &Tensor, index: &Tensor) -> Result<Tensor, TchError> {
    x.f_gather(0, index, false)?.f_to_device(Device::Cpu)
}

#[safe_mps_op]
fn afterwards(x: &Tensor, ran: &mut bool) -> Result<Tensor, TchError> {
    *ran = true;
    x.f_abs()
}

fn poison(device: Device) {
    let x = Tensor::from_slice(&[1.0_f32, 2.0]).to_device(device);
    let index = Tensor::from_slice(&[1_000_000_i64]).to_device(device);
    let first = looked_up(&x, &index).expect_err("the index is out of range").to_string();
    assert!(first.contains("lost for this process"), "{first}");
    let mut ran = false;
    let second = afterwards(&x, &mut ran).expect_err("the device is lost").to_string();
    assert!(!ran, "nothing runs on a lost device");
    assert!(second.contains("device-side assert"), "the first cause: {second}");
    // Dropping a tensor of a lost device may end the process with an error.
    std::process::exit(0);
}

#[test]
fn a_device_side_assert_makes_every_later_call_fail_with_its_cause() {
    let Some(device) = device() else { return };
    if std::env::var_os(CHILD).is_some() {
        poison(device);
    }
    let itself = std::env::current_exe().expect("this test is a program");
    let name = "a_device_side_assert_makes_every_later_call_fail_with_its_cause";
    let child = Command::new(itself).args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().expect("it starts again");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
}
