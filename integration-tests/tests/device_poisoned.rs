//! A device that is lost for the process, on the simulated one. Each test has a process of its own, because it loses its device.
#![cfg(not(feature = "disable-decorators"))]

use std::process::Command;
use std::time::{Duration, Instant};

use backstop::{IncidentKind, safe_mps_op};
use sim_mps::Orders;
use tch::{Device, TchError, Tensor};

const CHILD: &str = "BACKSTOP_TEST_LOSES_ITS_DEVICE";

/// Runs the test that calls it once more, in a process that may lose its device; `true` there.
fn alone(name: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let itself = std::env::current_exe().expect("this test is a program");
    let child = Command::new(itself).args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().expect("it starts again");
    let said = [child.stdout, child.stderr].concat();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&said));
    false
}

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

#[safe_mps_op(snapshot)]
fn first(x: &mut Tensor) -> Result<Tensor, TchError> {
    x.f_abs_()
}

#[safe_mps_op]
fn second(x: &Tensor, ran: &mut bool) -> Result<Tensor, TchError> {
    *ran = true;
    x.f_abs()
}

#[safe_mps_op]
async fn third(x: Tensor, ran: &mut bool) -> Tensor {
    *ran = true;
    x.abs()
}

const ASSERT: &str = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported at some other API call";

#[tokio::test]
async fn a_poisoned_device_is_neither_copied_from_nor_tried_again_and_fails_every_later_call_with_its_cause() {
    if !alone("a_poisoned_device_is_neither_copied_from_nor_tried_again_and_fails_every_later_call_with_its_cause") {
        return;
    }
    let Ok(orders) = Orders::take() else { return };
    let backstop = backstop::Builder::new().install().unwrap();
    let mut x = on_mps(&[-1.0]);
    let snapshot = sim_mps::counts().dispatched;
    let _ = second(&x, &mut false).unwrap();
    let ops_of_abs = sim_mps::counts().dispatched - snapshot;
    orders.reset();
    // The copy of the snapshot is an allocation and a copy; then the body fails.
    orders.fail_at(3, ASSERT);
    let error = first(&mut x).unwrap_err().to_string();
    assert!(error.contains("device-side assert") && error.contains("is lost for this process: restart the program"), "{error}");
    assert_eq!(sim_mps::counts().raised, 1);
    assert_eq!(sim_mps::counts().from_device, 0, "nothing was copied off: {ops_of_abs}");

    let before = sim_mps::counts().dispatched;
    let mut ran = false;
    let error = second(&x, &mut ran).unwrap_err().to_string();
    assert!(error.contains("device-side assert"), "{error}");
    let panic = tokio::spawn(async move {
        let mut ran = false;
        let _ = third(x, &mut ran).await;
    });
    let panic = panic.await.unwrap_err().into_panic();
    assert!(panic.downcast_ref::<String>().unwrap().contains("Torch(\"CUDA error: device-side assert"), "in the words of tch");
    assert!(!ran && sim_mps::counts().dispatched == before, "nothing ran");
    let on_cpu = Tensor::from_slice(&[-1.0_f32]);
    assert!(second(&on_cpu, &mut ran).is_ok() && ran, "the CPU is as it was");

    let began = Instant::now();
    let lost = on_mps(&[1.0]);
    (0..1000).for_each(|_| assert!(second(&lost, &mut false).is_err()));
    assert!(began.elapsed() < Duration::from_secs(5), "every call fails fast: {:?}", began.elapsed());
    assert!(backstop.flush(Duration::from_secs(60)));
    let incidents: Vec<_> = backstop::incidents().into_iter().filter(|incident| incident.kind == IncidentKind::Device).collect();
    let [incident] = &incidents[..] else { panic!("{} incidents", incidents.len()) };
    let note = incident.note.as_deref().unwrap();
    assert!(note.starts_with("poisoned on mps: CUDA error: device-side assert") && note.contains("restart the program"), "{note}");
}

/// Always on the CPU, by the policy that the test installs.
#[safe_mps_op]
fn straight(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()
}

#[test]
fn a_device_that_is_found_lost_by_a_copy_is_lost_for_all() {
    if !alone("a_device_that_is_found_lost_by_a_copy_is_lost_for_all") {
        return;
    }
    let Ok(orders) = Orders::take() else { return };
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/poisoned.toml");
    let _backstop = backstop::Builder::new().policies(policies).install().unwrap();
    let x = on_mps(&[-1.0]);
    orders.fail_every(1, ASSERT);
    let error = straight(&x).unwrap_err().to_string();
    assert!(error.starts_with("Internal torch error: CUDA error: device-side assert"), "{error}");
    assert!(error.contains("mps is lost for this process: restart the program"), "{error}");
    orders.reset();
    let mut ran = false;
    let error = second(&x, &mut ran).unwrap_err().to_string();
    assert!(!ran && error.contains("device-side assert"), "{error}");
}

struct Hidden(Tensor);

#[safe_mps_op]
fn of_hidden(hidden: &Hidden) -> Result<Tensor, TchError> {
    hidden.0.f_abs()
}

#[test]
fn a_device_that_is_found_lost_where_no_argument_shows_it_is_lost_for_all() {
    if !alone("a_device_that_is_found_lost_where_no_argument_shows_it_is_lost_for_all") {
        return;
    }
    let Ok(orders) = Orders::take() else { return };
    let hidden = Hidden(on_mps(&[-1.0]));
    orders.fail_at(1, ASSERT);
    let error = of_hidden(&hidden).unwrap_err().to_string();
    assert!(error.contains("is lost for this process: restart the program"), "{error}");
    let mut ran = false;
    let error = second(&hidden.0, &mut ran).unwrap_err().to_string();
    assert!(!ran && error.contains("device-side assert"), "{error}");
}

const AMBIGUOUS: &str = "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k)`";

#[test]
fn an_ambiguous_error_of_a_library_is_tried_again_where_the_device_still_answers() {
    if !alone("an_ambiguous_error_of_a_library_is_tried_again_where_the_device_still_answers") {
        return;
    }
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[-1.0]);
    orders.fail_at(1, AMBIGUOUS);
    let mut ran = false;
    assert_eq!(f64::try_from(second(&x, &mut ran).unwrap().to_device(Device::Cpu)).unwrap(), 1.0);
    assert!(second(&x, &mut ran).is_ok(), "the device is not lost");
    assert_eq!(sim_mps::counts().raised, 1);
}

#[test]
fn an_ambiguous_error_of_a_library_is_the_end_where_the_device_does_not_answer() {
    if !alone("an_ambiguous_error_of_a_library_is_the_end_where_the_device_does_not_answer") {
        return;
    }
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[-1.0]);
    orders.fail_every(1, AMBIGUOUS);
    let error = second(&x, &mut false).unwrap_err().to_string();
    assert!(error.contains("is lost for this process"), "{error}");
    orders.reset();
    let mut ran = false;
    let error = second(&x, &mut ran).unwrap_err().to_string();
    assert!(!ran && error.contains("CUBLAS_STATUS_EXECUTION_FAILED"), "{error}");
}

#[safe_mps_op]
fn in_place(x: &mut Tensor) -> Result<Tensor, TchError> {
    x.f_abs_()
}

#[test]
fn an_ambiguous_error_of_a_library_is_tried_again_where_the_device_is_only_full() {
    if !alone("an_ambiguous_error_of_a_library_is_tried_again_where_the_device_is_only_full") {
        return;
    }
    let Ok(orders) = Orders::take() else { return };
    let mut x = on_mps(&[-1.0]);
    orders.fail_at(1, AMBIGUOUS);
    orders.out_of_memory_after(0);
    let error = in_place(&mut x).err().map(|error| error.to_string());
    assert!(error.as_ref().is_none_or(|error| !error.contains("is lost for this process")), "{error:?}");
    assert!(sim_mps::counts().raised >= 2, "the device was asked, and had no memory for an answer");
    orders.reset();
    assert_eq!(f64::try_from(in_place(&mut x).unwrap().to_device(Device::Cpu)).unwrap(), 1.0, "it is not lost");
}
