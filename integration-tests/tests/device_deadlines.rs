//! `#[safe_mps_op]` and `#[timeout_async]` around each other, cancellation, and faults that are injected into async functions.
#![cfg(not(feature = "disable-decorators"))]

use std::error::Error;
use std::time::Duration;

use backstop::inject::{Rule, scope};
use backstop::{TimeoutError, safe_mps_op, timeout_async};
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};
use tokio::time::{Instant, sleep, timeout};

type Failure = Box<dyn Error + Send + Sync>;

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).reshape([-1])).unwrap()
}

fn records_gradients() -> bool {
    (Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true) * 2.0).requires_grad()
}

#[safe_mps_op(snapshot)]
async fn stepped(total: &mut Tensor, x: &Tensor, pause: Duration) -> Result<f64, Failure> {
    let _guard = tch::no_grad_guard();
    let _ = total.f_add_(x)?;
    sleep(pause).await;
    let _ = total.f_add_(&x.f_abs()?)?;
    sleep(pause).await;
    Ok(total.f_sum(Kind::Float)?.f_double_value(&[])?)
}

#[timeout_async(secs = 5)]
async fn within_five_seconds(total: &mut Tensor, x: &Tensor, pause: Duration) -> Result<f64, Failure> {
    stepped(total, x, pause).await
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_a_device_op_ends_both_attempts_and_leaves_the_state_as_it_was() {
    let Ok(orders) = Orders::take() else { return };
    let (mut total, x) = (on_mps(&[10.0]), on_mps(&[-2.0]));
    let same = total.shallow_clone();
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(within_five_seconds(&mut total, &x, Duration::from_secs(1)).await.unwrap(), 10.0, "3 s for two attempts");
    // The first attempt takes 2 s of the 5, the second is cut off in its second pause.
    let error = within_five_seconds(&mut total, &x, Duration::from_secs(2)).await.unwrap_err();
    assert!(error.is::<TimeoutError>(), "{error}");
    assert_eq!((values(&total), total.data_ptr()), (vec![10.0], same.data_ptr()));
    assert!(records_gradients(), "the grad mode of the task did not stay with the thread");
    orders.reset();
    assert_eq!(within_five_seconds(&mut total, &x, Duration::from_secs(1)).await.unwrap(), 10.0, "and nothing is in its way");
}

#[timeout_async(secs = 2)]
async fn fetched(takes: Duration) -> Result<f64, Failure> {
    sleep(takes).await;
    Ok(3.0)
}

#[safe_mps_op]
async fn scaled(x: &Tensor, takes: Duration) -> Result<Tensor, Failure> {
    let factor = fetched(takes).await?;
    Ok(x.f_abs()?.f_mul_scalar(factor)?)
}

#[tokio::test(start_paused = true)]
async fn an_awaited_timeout_inside_a_device_op_is_its_own_in_each_attempt() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[-1.0]);
    orders.unimplemented("aten::abs").unwrap();
    let began = Instant::now();
    assert_eq!(values(&scaled(&x, Duration::from_millis(1500)).await.unwrap()), [3.0]);
    assert_eq!(began.elapsed(), Duration::from_secs(3), "1.5 s in each attempt, each within its 2 s");
    let error = scaled(&x, Duration::from_secs(9)).await.map(drop).unwrap_err();
    assert!(error.is::<TimeoutError>(), "no device fault, so it passes through: {error}");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[safe_mps_op]
async fn waits(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()
}

#[tokio::test(start_paused = true)]
async fn an_injected_delay_or_stall_leaves_the_thread_free() {
    let Ok(_orders) = Orders::take() else { return };
    let x = on_mps(&[-1.0]);
    let rules = Rule::parse("device_deadlines::waits=1*delay(3s)->stall").unwrap();
    scope(rules, async {
        let began = Instant::now();
        assert_eq!(values(&waits(&x).await.unwrap()), [1.0]);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert!(timeout(Duration::from_secs(60), waits(&x)).await.is_err(), "a stall ends with its future");
    })
    .await;
}

/// One of its own: after a fault a function goes straight to the CPU for a while, where nothing is injected.
#[safe_mps_op]
async fn falls_back(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()
}

#[tokio::test(start_paused = true)]
async fn an_injected_device_fault_falls_back_and_an_injected_error_does_not() {
    let Ok(_orders) = Orders::take() else { return };
    let x = on_mps(&[-1.0]);
    let rules = Rule::parse("device_deadlines::falls_back=1*error(no such symbol)->1*device").unwrap();
    scope(rules, async {
        let error = falls_back(&x).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("no such symbol") && !error.contains("backstop"), "{error}");
        assert_eq!(values(&falls_back(&x).await.unwrap()), [1.0]);
    })
    .await;
}
