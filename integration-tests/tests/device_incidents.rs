//! What is told of a device fault: one incident with the C++ trace, and nothing on the terminal.
#![cfg(not(feature = "disable-decorators"))]

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Mutex, Once};
use std::time::Duration;

use backstop::{Backstop, Incident, IncidentKind, safe_mps_op};
use sim_mps::Orders;
use tch::{Device, TchError, Tensor};

const LONG: Duration = Duration::from_secs(60);

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

/// The program's hook comes first: one that is set later would replace the filter, and be asked about handled faults too.
fn installed() -> Backstop {
    listen();
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/always_try_the_device.toml");
    backstop::Builder::new().policies(policies).install().unwrap()
}

fn incidents_of(backstop: &Backstop, function: &str) -> Vec<Incident> {
    assert!(backstop.flush(LONG));
    let name = format!("device_incidents::{function}");
    backstop::incidents().into_iter().filter(|incident| incident.function == name).collect()
}

#[safe_mps_op]
fn handled(x: &Tensor) -> Tensor {
    x.abs()
}

#[test]
fn a_fault_in_each_step_is_one_incident_with_the_place_in_libtorch_that_raised_it() {
    let Ok(orders) = Orders::take() else { return };
    let backstop = installed();
    orders.unimplemented("aten::abs").unwrap();
    (0..5).for_each(|_| _ = handled(&on_mps(&[-1.0])));
    let incidents = incidents_of(&backstop, "handled");
    let [incident] = &incidents[..] else { panic!("{} incidents", incidents.len()) };
    assert_eq!(incident.kind, IncidentKind::Device);
    let note = incident.note.as_deref().unwrap();
    assert!(note.starts_with("unsupported_op on mps: The operator 'aten::abs"), "{note}");
    assert!(note.contains("the body ran on the CPU instead\nException raised from "), "{note}");
    assert!(note.contains("\nframe #0: "), "{note}");
    assert!(note.len() < 3000, "the trace is trimmed: {} bytes", note.len());
}

#[safe_mps_op]
fn refused(x: &mut Tensor) -> Result<Tensor, TchError> {
    let _ = x.f_mul_scalar_(2.0)?;
    x.f_abs()
}

#[test]
fn a_fault_that_the_cpu_cannot_cure_is_an_incident_that_says_why() {
    let Ok(orders) = Orders::take() else { return };
    let backstop = installed();
    orders.unimplemented("aten::abs").unwrap();
    refused(&mut on_mps(&[-1.0])).unwrap_err();
    let incidents = incidents_of(&backstop, "refused");
    assert!(incidents[0].note.as_deref().unwrap().contains("`x` was changed in place"), "{:?}", incidents[0].note);
}

static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What reached the hook of the program since the last look.
fn reported() -> Vec<String> {
    std::mem::take(&mut REPORTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| match panic.payload().downcast_ref::<String>() {
            Some(text) if text.contains("hook:") || text.contains("aten::ceil") => {
                REPORTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text.clone());
            }
            _ => before(panic),
        }));
    });
}

#[safe_mps_op]
fn loud(x: &mut Tensor, step: i32) -> Tensor {
    assert!(step != 1, "hook: step {step}");
    if step == 2 {
        let _ = x.fill_(7.0);
    }
    x.ceil()
}

fn panic_of(body: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(body)).expect_err("a panic");
    panic.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn the_panic_of_a_handled_fault_is_silent_and_every_other_reaches_the_hook_that_was_there() {
    let Ok(orders) = Orders::take() else { return };
    let _backstop = installed();
    orders.unimplemented("aten::ceil").unwrap();
    let mut x = on_mps(&[0.5]);
    let _ = loud(&mut x, 0);
    assert_eq!(reported(), [""; 0], "handled");
    let text = panic_of(|| _ = loud(&mut x, 1));
    assert_eq!((text.as_str(), reported()), ("hook: step 1", vec!["hook: step 1".to_owned()]));
    let text = panic_of(|| _ = loud(&mut x, 2));
    assert!(text.contains("`x` was changed in place"), "{text}");
    assert_eq!(reported(), [text], "a fault that is not handled is reported once, with the reason");
    let outside = panic_of(|| _ = x.ceil());
    assert_eq!(reported(), [outside], "and so is one outside of guarded functions");
}
