//! The rules of the device fallback on a real CUDA device. Without one, each test says so and ends. Not run on a GPU so far.
#![cfg(not(feature = "disable-decorators"))]

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use backstop::{IncidentKind, safe_mps_op};
use tch::{Device, Kind, TchError, Tensor};

/// Set for the process that ruins its device.
const CHILD: &str = "BACKSTOP_TEST_POISONS_CUDA";
/// What that says when all rules held.
const KEPT: &str = "all rules were kept";

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

/// Raises where the result is read.
#[safe_mps_op]
fn looked_up(x: &Tensor, index: &Tensor, runs: &mut u32) -> Result<Tensor, TchError> {
    *runs += 1;
    x.f_gather(0, index, false)?.f_to_device(Device::Cpu)
}

/// Returns before the device has noticed.
#[safe_mps_op]
fn looked_up_unread(x: &Tensor, index: &Tensor) -> Result<Tensor, TchError> {
    x.f_gather(0, index, false)
}

#[safe_mps_op]
fn afterwards(x: &Tensor, ran: &mut bool) -> Result<Tensor, TchError> {
    *ran = true;
    x.f_abs()?.f_to_device(Device::Cpu)
}

#[safe_mps_op]
async fn afterwards_async(x: &Tensor, ran: &mut bool) -> Result<Tensor, TchError> {
    *ran = true;
    x.f_abs()
}

/// Runs the test of this name once more, in a process that may lose its device; whether this is that process.
fn alone(name: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let itself = std::env::current_exe().expect("this test is a program");
    let child = Command::new(itself).args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().expect("it starts again");
    // Its status says nothing: CUDA's own destructors may fail on a lost device.
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains(KEPT), "{said}{}", String::from_utf8_lossy(&child.stderr));
    false
}

/// Ends the process before a tensor of a lost device is dropped, which may end it with an error.
fn all_was_kept() -> ! {
    let _ = writeln!(std::io::stdout(), "{KEPT}");
    let _ = std::io::stdout().flush();
    std::process::exit(0);
}

fn beyond(device: Device) -> (Tensor, Tensor) {
    (Tensor::from_slice(&[1.0_f32, 2.0]).to_device(device), Tensor::from_slice(&[1_000_000_i64]).to_device(device))
}

#[tokio::test]
async fn a_device_side_assert_makes_every_later_call_fail_with_its_cause() {
    let Some(device) = device() else { return };
    if !alone("a_device_side_assert_makes_every_later_call_fail_with_its_cause") {
        return;
    }
    let backstop = backstop::Builder::new().install().unwrap();
    let ((x, index), mut runs) = (beyond(device), 0);
    let first = looked_up(&x, &index, &mut runs).expect_err("the index is out of range").to_string();
    assert!(first.contains("device-side assert") && first.contains("lost for this process"), "{first}");
    assert_eq!(runs, 1, "nothing is tried again");
    let (began, mut ran) = (Instant::now(), false);
    for _ in 0..1000 {
        let later = afterwards(&x, &mut ran).expect_err("the device is lost").to_string();
        assert!(later.contains("device-side assert"), "the first cause: {later}");
    }
    let later = afterwards_async(&x, &mut ran).await.expect_err("the device is lost").to_string();
    assert!(!ran && later.contains("device-side assert"), "nothing runs on a lost device: {later}");
    assert!(began.elapsed() < Duration::from_secs(5), "every call fails fast: {:?}", began.elapsed());
    assert!(backstop.flush(Duration::from_secs(60)));
    let incidents: Vec<_> = backstop::incidents().into_iter().filter(|incident| incident.kind == IncidentKind::Device).collect();
    let [incident] = &incidents[..] else { panic!("{} incidents", incidents.len()) };
    let note = incident.note.as_deref().unwrap();
    assert!(note.starts_with("poisoned on cuda") && note.contains("restart the program"), "{note}");
    all_was_kept();
}

#[test]
fn an_assert_that_one_call_leaves_behind_is_met_by_the_next() {
    let Some(device) = device() else { return };
    if !alone("an_assert_that_one_call_leaves_behind_is_met_by_the_next") {
        return;
    }
    let (x, index) = beyond(device);
    let _unread = looked_up_unread(&x, &index);
    let mut ran = false;
    let second = afterwards(&x, &mut ran).expect_err("the device is lost").to_string();
    assert!(second.contains("device-side assert"), "{second}");
    ran = false;
    let third = afterwards(&x, &mut ran).expect_err("the device is lost").to_string();
    assert!(!ran && third.contains("device-side assert"), "{third}");
    all_was_kept();
}
