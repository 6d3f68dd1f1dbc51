//! A panic hook that the program sets after its first guarded call: it replaces the filter that sees which panic was an optimizer's. Alone in
//! its file, because a hook is everybody's.
#![cfg(not(feature = "disable-decorators"))]

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

use backstop::safe_mps_op;
use sim_mps::{Orders, text};
use tch::nn::{self, Optimizer, OptimizerConfig, VarStore};
use tch::{Device, TchError, Tensor};

/// As an optimizer of tch panics whose library was built without names of frames.
fn fail_in_a_step() {
    std::panic::panic_any(format!(
        "called `Result::unwrap()` on an `Err` value: {:?}",
        TchError::Torch(text::unsupported_operator("aten::addcdiv.out"))
    ))
}

#[safe_mps_op(snapshot)]
fn step(_optimizer: &mut Optimizer, x: &Tensor, ran: &mut u32) -> i64 {
    *ran += 1;
    if x.device() == Device::Mps {
        fail_in_a_step();
    }
    x.numel() as i64
}

#[safe_mps_op]
fn without_an_optimizer(x: &Tensor) -> i64 {
    if x.device() == Device::Mps {
        fail_in_a_step();
    }
    x.numel() as i64
}

#[test]
fn a_panic_that_nobody_heard_beside_an_optimizer_is_taken_for_a_step() {
    let Ok(_orders) = Orders::take() else { return };
    let x = Tensor::from_slice(&[1.0_f32]).to_device(Device::Mps);
    let mut optimizer = nn::Adam::default().build(&VarStore::new(Device::Mps), 0.1).unwrap();
    let mut ran = 0;
    assert_eq!(step(&mut optimizer, &x, &mut ran), 1, "the filter hears that this panic was none of an optimizer's");
    assert_eq!(ran, 2);
    set_hook(Box::new(|_| ()));
    let panic = catch_unwind(AssertUnwindSafe(|| step(&mut optimizer, &x, &mut ran))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("the optimizer's step was under way"), "{text}");
    assert_eq!(ran, 3);
    assert_eq!(without_an_optimizer(&x), 1, "without an optimizer it does not matter");
}
