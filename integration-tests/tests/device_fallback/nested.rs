//! An annotated function inside of another: what the inner one is refused, the outer one must not do all the same.

use std::cell::RefCell;
use std::sync::Mutex;

use backstop::safe_mps_op;
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};

use super::{on_mps, values};

/// The value of a call that was not refused cannot be printed.
fn refusal<T>(result: Result<T, TchError>) -> String {
    result.err().expect("a refusal").to_string()
}

fn on_cpu(values: &[f32]) -> Tensor {
    Tensor::from_slice(values)
}

/// Half of it is done when the operator is missed.
#[safe_mps_op]
fn add_and_miss(total: &mut Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let _ = total.f_add_(&x.f_to_device(Device::Cpu)?)?;
    x.f_abs()
}

const REFUSED: &str = "`device_fallback::nested::add_and_miss` inside was not, and what it had changed is not all among the arguments here";

#[safe_mps_op(snapshot)]
fn through_a_cell(totals: &RefCell<Tensor>, x: &Tensor) -> Result<Tensor, TchError> {
    add_and_miss(&mut totals.borrow_mut(), x)
}

#[safe_mps_op]
fn not_minding(totals: &RefCell<Tensor>, x: &Tensor) -> Result<Tensor, TchError> {
    let _ = add_and_miss(&mut totals.borrow_mut(), x);
    x.f_abs()
}

#[safe_mps_op]
async fn later(totals: &Mutex<Tensor>, x: Tensor) -> Result<Tensor, TchError> {
    let first = add_and_miss(&mut totals.lock().unwrap(), &x);
    tokio::task::yield_now().await;
    first.or_else(|_| x.f_abs())
}

#[tokio::test]
async fn what_an_inner_function_left_changed_and_the_outer_one_does_not_see_is_not_done_twice() {
    let Ok(orders) = Orders::take() else { return };
    let (totals, x) = (RefCell::new(on_cpu(&[10.0])), on_mps(&[-1.0]));
    orders.unimplemented("aten::abs").unwrap();
    let text = refusal(through_a_cell(&totals, &x));
    assert!(text.contains(REFUSED), "{text}");
    assert_eq!(values(&totals.borrow()), [9.0]);
    let text = refusal(not_minding(&totals, &x));
    assert!(text.contains(REFUSED), "{text}");
    assert_eq!(values(&totals.borrow()), [8.0]);
    let totals = Mutex::new(totals.into_inner());
    let text = refusal(later(&totals, x.shallow_clone()).await);
    assert!(text.contains(REFUSED), "{text}");
    assert_eq!(values(&totals.lock().unwrap()), [7.0]);
}

/// One of its own: after some faults a function goes straight to the CPU.
#[safe_mps_op]
fn add_and_miss_once(total: &mut Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let _ = total.f_add_(&x.f_to_device(Device::Cpu)?)?;
    x.f_abs()
}

#[safe_mps_op(snapshot)]
fn with_all_of_it(total: &mut Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    add_and_miss_once(total, x)
}

#[test]
fn what_the_outer_function_can_put_back_is_put_back_and_done_once() {
    let Ok(orders) = Orders::take() else { return };
    let (mut total, x) = (on_cpu(&[10.0]), on_mps(&[-1.0]));
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(values(&with_all_of_it(&mut total, &x).unwrap()), [1.0]);
    assert_eq!(values(&total), [9.0]);
}

#[derive(backstop::Migrate)]
struct Statistics {
    normal: tch::nn::BatchNorm,
}

#[safe_mps_op]
fn normalised(statistics: &Statistics, x: &Tensor) -> Result<Tensor, TchError> {
    let tch::nn::BatchNorm { running_mean, running_var, .. } = &statistics.normal;
    x.f_batch_norm(None::<&Tensor>, None::<&Tensor>, Some(running_mean), Some(running_var), true, 0.5, 1e-5, false)?.f_abs()
}

/// Its arguments show the statistics as plain tensors, whose changes would be counted.
#[safe_mps_op]
fn by_plain_tensors(mean: &Tensor, statistics: &RefCell<Statistics>, x: &Tensor) -> Result<Tensor, TchError> {
    assert_eq!(mean.size(), [2]);
    normalised(&statistics.borrow(), x)
}

#[test]
fn statistics_that_nobody_counts_are_not_taken_for_unchanged_by_the_outer_function() {
    let Ok(orders) = Orders::take() else { return };
    let store = tch::nn::VarStore::new(Device::Mps);
    let statistics = Statistics { normal: tch::nn::batch_norm1d(store.root(), 2, Default::default()) };
    let (mean, x) = (statistics.normal.running_mean.shallow_clone(), Tensor::ones([4, 2], (Kind::Float, Device::Mps)));
    orders.unimplemented("aten::abs").unwrap();
    let text = refusal(by_plain_tensors(&mean, &RefCell::new(statistics), &x));
    assert!(text.contains("`device_fallback::nested::normalised` inside was not"), "{text}");
    assert_eq!(values(&mean), [0.5, 0.5]);
}
