//! Every order, as a tch program meets it.

#![cfg(target_os = "linux")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::numbers;
use sim_mps::{Orders, counts, text};
use tch::{Device, Kind, Tensor};

fn on_device() -> Tensor {
    numbers(&[4, 4]).to_device(Device::Mps)
}

#[test]
fn an_unimplemented_operator_raises_the_real_text_in_three_parts() {
    let orders = Orders::take().unwrap();
    let a = on_device();
    orders.unimplemented("aten::cumsum").unwrap();
    let error = a.f_cumsum(0, Kind::Float).unwrap_err();
    assert!(matches!(error, tch::TchError::Torch(_)));
    let error = error.to_string();
    let head = text::unsupported_operator("aten::cumsum.out");
    assert!(error.starts_with(&format!("Internal torch error: {head}\nException raised from mps_error_fallback at ")), "{error}");
    assert!(error.contains("(most recent call first):\nframe #0: "), "{error}");
    assert_eq!(counts().raised, 1);
}

#[test]
fn a_plain_method_panics_with_the_text() {
    let orders = Orders::take().unwrap();
    let a = on_device();
    orders.unimplemented("aten::mm").unwrap();
    let payload = catch_unwind(AssertUnwindSafe(|| a.matmul(&a))).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(message.contains(r#"Torch("The operator 'aten::mm.out' is not currently implemented for the MPS device."#), "{message}");
}

#[test]
fn other_operators_are_untouched_by_an_unimplemented_one() {
    let orders = Orders::take().unwrap();
    let a = on_device();
    orders.unimplemented("aten::mm").unwrap();
    assert!(a.f_abs().is_ok());
    assert!(a.f_cumsum(0, Kind::Float).is_ok());
    assert_eq!(counts().raised, 0);
}

#[test]
fn a_misspelt_operator_is_refused_with_its_name() {
    let orders = Orders::take().unwrap();
    let error = orders.unimplemented("aten::cumsumm").unwrap_err().to_string();
    assert!(error.contains("`aten::cumsumm`") && error.contains("without overload"), "{error}");
    assert!(orders.unimplemented("aten::cumsum.out").is_err());
}

#[test]
fn memory_runs_out_after_the_bytes_ordered_and_comes_back_when_tensors_go() {
    let orders = Orders::take().unwrap();
    let before = counts().live_bytes;
    orders.out_of_memory_after(4096);
    let first = Tensor::f_zeros([1024], (Kind::Float, Device::Mps)).unwrap();
    assert_eq!(counts().live_bytes - before, 4096);
    let error = Tensor::f_zeros([1], (Kind::Float, Device::Mps)).unwrap_err().to_string();
    assert!(error.contains("MPS backend out of memory (MPS allocated: "), "{error}");
    assert!(error.contains("Tried to allocate 4 bytes on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0"), "{error}");
    drop(first);
    assert_eq!(counts().live_bytes, before);
    assert!(Tensor::f_zeros([1024], (Kind::Float, Device::Mps)).is_ok());
}

#[test]
fn a_tensor_that_grows_is_booked_with_its_new_size() {
    let _orders = Orders::take().unwrap();
    let mut a = Tensor::zeros([2], (Kind::Float, Device::Mps));
    let before = counts().live_bytes;
    let _ = a.resize_([1000]);
    assert_eq!(counts().live_bytes - before, 4000 - 8, "the old memory is given back");
}

#[test]
fn an_operator_that_runs_out_of_memory_leaves_its_arguments_as_they_were() {
    let orders = Orders::take().unwrap();
    let (input, weight, bias) =
        (numbers(&[8, 3]).to_device(Device::Mps), numbers(&[3]).to_device(Device::Mps), numbers(&[3]).to_device(Device::Mps));
    let (mean, variance) = (Tensor::zeros([3], (Kind::Float, Device::Mps)), Tensor::ones([3], (Kind::Float, Device::Mps)));
    let norm = || input.f_batch_norm(Some(&weight), Some(&bias), Some(&mean), Some(&variance), true, 0.1, 1e-5, false);
    orders.out_of_memory_after(0);
    assert!(norm().unwrap_err().to_string().contains("MPS backend out of memory"));
    orders.reset();
    assert_eq!(mean.sum(Kind::Float).double_value(&[]), 0.0, "the running mean was written");
    let _ = norm().unwrap();
    assert_ne!(mean.sum(Kind::Float).double_value(&[]), 0.0, "without the order it is written");
}

#[test]
fn copying_a_strided_view_off_a_full_device_runs_out_of_memory() {
    let orders = Orders::take().unwrap();
    let a = on_device();
    let strided = a.slice(1, None, None, 2);
    orders.out_of_memory_after(0);
    assert!(strided.f_to_device(Device::Cpu).unwrap_err().to_string().contains("MPS backend out of memory"));
    assert!(a.f_to_device(Device::Cpu).is_ok(), "a contiguous tensor needs no room on the device");
}

#[test]
fn the_operator_ordered_fails_once_with_the_text_ordered() {
    let orders = Orders::take().unwrap();
    let a = on_device();
    orders.reset();
    let _ = (&a + &a).relu();
    let all = counts().dispatched;
    assert!(all >= 3, "{all}");
    for k in 1..=all + 1 {
        orders.reset();
        orders.fail_at(k, "Invalid buffer size: 19.45 GB");
        let attempt = a.f_add(&a).and_then(|sum| sum.f_relu());
        assert_eq!(attempt.is_err(), k <= all, "operator {k} of {all}");
        assert_eq!(counts().raised, u64::from(k <= all));
        if let Err(error) = attempt {
            assert!(
                error.to_string().starts_with("Internal torch error: Invalid buffer size: 19.45 GB\nException raised from "),
                "{error}"
            );
            assert!(a.f_add(&a).is_ok(), "only once");
        }
    }
}

#[test]
fn a_text_that_is_no_utf8_trap_passes_unchanged() {
    let orders = Orders::take().unwrap();
    orders.fail_at(1, "größer als 4 GB \"in quotes\"\nsecond line\0after the end");
    let error = Tensor::f_zeros([1], (Kind::Float, Device::Mps)).unwrap_err().to_string();
    assert!(error.contains("größer als 4 GB \"in quotes\"\nsecond line\nException raised from"), "{error}");
}

#[test]
fn every_nth_operator_fails() {
    let orders = Orders::take().unwrap();
    let a = on_device();
    orders.reset();
    orders.fail_every(4, &text::out_of_memory());
    // Two operators a call: the fourth is the second call's arithmetic.
    let outcomes: Vec<bool> = (0..4).map(|_| a.f_abs().is_ok()).collect();
    assert_eq!(outcomes, [true, false, true, false]);
    assert_eq!((counts().dispatched, counts().raised), (8, 2));
}

#[test]
fn operators_and_copies_are_counted() {
    let orders = Orders::take().unwrap();
    let host = numbers(&[4, 4]);
    orders.reset();
    let device = host.to_device(Device::Mps);
    assert_eq!((counts().dispatched, counts().to_device, counts().from_device), (2, 1, 0));
    let twin = device.copy();
    assert_eq!(counts().copies(), 1, "a copy on the device crosses nothing: {twin:?}");
    let _ = device.to_device(Device::Cpu);
    let _ = device.double_value(&[0, 0]);
    let mut target = Tensor::zeros([4, 4], (Kind::Float, Device::Cpu));
    target.copy_(&device);
    assert_eq!((counts().to_device, counts().from_device), (1, 3));
    let before = counts();
    let _ = &host + &host;
    assert_eq!(counts(), before, "the CPU's work is not counted");
}

#[test]
fn dropping_the_orders_withdraws_them_even_after_a_panic() {
    let panicked = catch_unwind(|| {
        let orders = Orders::take().unwrap();
        orders.unimplemented("aten::empty").unwrap();
        panic!("the test failed");
    });
    assert!(panicked.is_err());
    let _orders = Orders::take().unwrap();
    assert!(Tensor::f_zeros([1], (Kind::Float, Device::Mps)).is_ok());
}

#[test]
fn orders_are_held_by_one_thread_at_a_time() {
    let orders = Orders::take().unwrap();
    orders.unimplemented("aten::cumsum").unwrap();
    let other = std::thread::spawn(|| {
        let _orders = Orders::take().unwrap();
        on_device().f_cumsum(0, Kind::Float).is_ok()
    });
    assert!(on_device().f_cumsum(0, Kind::Float).is_err());
    drop(orders);
    assert!(other.join().unwrap(), "the other thread got them clean");
}

#[test]
fn float64_is_refused_wherever_a_tensor_would_be_made_of_it() {
    let _orders = Orders::take().unwrap();
    let a = on_device();
    let double = numbers(&[4]).to_kind(Kind::Double);
    let refusals = [
        Tensor::f_zeros([2], (Kind::Double, Device::Mps)),
        Tensor::f_empty_strided([2], [1], (Kind::Double, Device::Mps)),
        double.f_to_device(Device::Mps),
        a.f_to_kind(Kind::Double),
        a.f_sum(Kind::Double),
        // A kernel that makes its result itself.
        Tensor::from_slice(&[1i64, 1, 2])
            .to_device(Device::Mps)
            .f_bincount(Some(Tensor::from_slice(&[5i64, 6, 7]).to_device(Device::Mps)), 0),
    ];
    for (i, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.expect_err(&format!("case {i}")).to_string();
        assert!(error.contains(text::float64().as_str()), "{i}: {error}");
    }
    assert!((a.sum(Kind::Float).double_value(&[])).is_finite(), "moving first and casting then is fine");
    assert!(Vec::<f64>::try_from(a.to_device(Device::Cpu).view([-1])).is_ok());
}

#[test]
fn mixed_placement_is_refused_in_the_backends_words() {
    let _orders = Orders::take().unwrap();
    let (device, host) = (on_device(), numbers(&[4, 4]));
    let elementwise = device.f_add(&host).unwrap_err().to_string();
    assert!(elementwise.contains(text::device_mismatch().as_str()), "{elementwise}");
    let graph = device.f_mm(&host).unwrap_err().to_string();
    assert!(graph.contains(text::placeholder().as_str()), "{graph}");
    assert!(device.f_add(&Tensor::from(2f32)).is_ok(), "a number may come from the host");
}

#[test]
fn a_users_mistake_reads_as_on_the_cpu() {
    let _orders = Orders::take().unwrap();
    let head = |a: &Tensor| {
        let error = a.f_mm(&a.narrow(0, 0, 3)).unwrap_err().to_string();
        error.split("\nException raised").next().unwrap().to_owned()
    };
    assert_eq!(head(&on_device()), head(&numbers(&[4, 4])));
}
