//! The asynchronous form of `#[safe_mps_op]`.
#![cfg(not(feature = "disable-decorators"))]

use std::time::Duration;

use backstop::{Migrate, TimeoutError, safe_mps_op, timeout_async};
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};
use tokio::task::yield_now;

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).reshape([-1])).unwrap()
}

#[derive(Debug)]
enum Error {
    Tensor(TchError),
    Late,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Tensor(error) => error.fmt(f),
            Error::Late => f.write_str("late"),
        }
    }
}

impl std::error::Error for Error {}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Error::Tensor(error)
    }
}

impl From<TimeoutError> for Error {
    fn from(_: TimeoutError) -> Self {
        Error::Late
    }
}

#[safe_mps_op]
async fn summed(x: &Tensor, by_value: Tensor, times: usize) -> Result<Tensor, TchError> {
    let mut sum = by_value.f_abs()?;
    for _ in 0..times {
        yield_now().await;
        sum = sum.f_add(x)?;
    }
    Ok(sum)
}

#[tokio::test]
async fn a_fault_after_an_await_falls_back() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0]);
    let before = x.shallow_clone();
    orders.fail_at(3, &sim_mps::text::out_of_memory());
    let sum = summed(&x, before, 3).await.unwrap();
    assert_eq!((values(&sum), sum.device()), (vec![4.0], Device::Mps));
    assert_eq!(sim_mps::counts().raised, 1);
}

#[derive(Migrate)]
struct Agent {
    total: Tensor,
    #[migrate(skip)]
    log: std::sync::Mutex<Vec<String>>,
}

impl Agent {
    #[safe_mps_op(snapshot)]
    async fn add(&mut self, x: &Tensor) -> Result<f64, TchError> {
        let _ = self.total.f_add_(x)?;
        self.log.lock().unwrap().push("added".to_owned());
        yield_now().await;
        let _ = self.total.f_add_(&x.f_abs()?)?;
        yield_now().await;
        self.total.f_sum(Kind::Float)?.f_double_value(&[])
    }
}

#[tokio::test]
async fn state_behind_mut_self_is_changed_once() {
    let Ok(orders) = Orders::take() else { return };
    let mut agent = Agent { total: on_mps(&[10.0]), log: Default::default() };
    let same = agent.total.shallow_clone();
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(agent.add(&on_mps(&[-2.0])).await.unwrap(), 10.0);
    assert_eq!((values(&agent.total), agent.total.device()), (vec![10.0], Device::Mps));
    assert_eq!(agent.total.data_ptr(), same.data_ptr());
    assert_eq!(agent.log.lock().unwrap().len(), 2, "what is no tensor happens in both attempts");
}

#[tokio::test]
async fn a_call_that_is_dropped_during_the_attempt_on_the_cpu_leaves_the_state_as_it_was() {
    let Ok(orders) = Orders::take() else { return };
    let mut agent = Agent { total: on_mps(&[10.0]), log: Default::default() };
    let same = agent.total.shallow_clone();
    let x = on_mps(&[-2.0]);
    orders.unimplemented("aten::abs").unwrap();
    {
        let mut call = std::pin::pin!(agent.add(&x));
        // The first poll ends at the first `yield_now`, the second fails and begins again on the CPU.
        assert!(futures_poll(call.as_mut()).is_none());
        assert!(futures_poll(call.as_mut()).is_none());
    }
    assert_eq!((values(&agent.total), agent.total.device()), (vec![10.0], Device::Mps));
    assert_eq!(agent.total.data_ptr(), same.data_ptr());
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[safe_mps_op]
async fn without_gradients(x: &Tensor) -> Tensor {
    let guard = tch::no_grad_guard();
    yield_now().await;
    let y = x * 2.0;
    drop(guard);
    y
}

#[tokio::test(flavor = "current_thread")]
async fn the_grad_mode_follows_the_task() {
    let Ok(_orders) = Orders::take() else { return };
    let x = on_mps(&[1.0]).set_requires_grad(true);
    let records = || (Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true) * 2.0).requires_grad();
    let mut call = std::pin::pin!(without_gradients(&x));
    assert!(futures_poll(call.as_mut()).is_none());
    assert!(records(), "the thread is free for others, who record gradients");
    let y = call.await;
    assert!(!y.requires_grad());
    assert!(records());
}

#[safe_mps_op]
#[timeout_async(secs = 5)]
async fn both(x: Tensor) -> Result<Tensor, Error> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(x.f_abs()?)
}

#[timeout_async(secs = 5)]
#[safe_mps_op]
async fn both_the_other_way(x: Tensor) -> Result<Tensor, Error> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(x.f_abs()?)
}

#[tokio::test(start_paused = true)]
async fn both_attributes_keep_their_rules_in_either_order() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(values(&both(on_mps(&[-1.0])).await.unwrap()), [1.0]);
    let late = both_the_other_way(on_mps(&[-1.0])).await;
    assert!(matches!(late, Err(Error::Late)), "the guard is outside: both attempts together took 6 s: {late:?}");
}

#[test]
fn a_future_of_owned_tensors_can_be_sent() {
    fn sent<F: Future + Send>(_: F) {}
    #[safe_mps_op]
    async fn owned(x: Tensor, name: String) -> Tensor {
        yield_now().await;
        assert!(!name.is_empty());
        x
    }
    sent(owned(Tensor::new(), "name".to_owned()));
}

#[safe_mps_op]
async fn doubled(x: Tensor, name: &str, log: &mut Vec<String>) -> Result<Tensor, TchError> {
    yield_now().await;
    log.push(name.to_owned());
    x.f_abs()?.f_mul_scalar(2.0)
}

#[timeout_async(secs = 60)]
async fn doubled_in_time(x: Tensor, name: String) -> Result<(Tensor, Vec<String>), Error> {
    let mut log = Vec::new();
    let doubled = doubled(x, &name, &mut log).await?;
    Ok((doubled, log))
}

struct Scale(f64);

impl Scale {
    #[safe_mps_op]
    async fn scaled(&self, x: Tensor, tags: &[&str]) -> Result<Tensor, TchError> {
        yield_now().await;
        x.f_abs()?.f_mul_scalar(self.0 + tags.len() as f64)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_with_borrowed_arguments_runs_inside_of_a_spawned_task() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    let (x, y) = (on_mps(&[-2.0]), on_mps(&[-1.0]));
    let (doubled, log) = tokio::spawn(doubled_in_time(x, "x".to_owned())).await.unwrap().unwrap();
    assert_eq!((values(&doubled), doubled.device(), log.len()), (vec![4.0], Device::Mps, 2));
    let scaled = tokio::spawn(async move { Scale(2.0).scaled(y, &["a", "b"]).await });
    assert_eq!(values(&scaled.await.unwrap().unwrap()), [4.0]);
}

#[safe_mps_op]
async fn nothing() {
    yield_now().await;
}

#[safe_mps_op]
async fn noted(x: &Tensor, lent: &mut Vec<f64>) {
    let attempts = x.abs();
    yield_now().await;
    lent.push(attempts.sum(Kind::Float).double_value(&[]));
}

#[safe_mps_op]
async fn picked<T: Clone + Into<f64>>(mut x: Tensor, (factor, _): (T, &str), arguments: i64) -> Result<Tensor, Box<dyn std::error::Error>> {
    if arguments == 0 {
        return Err("nothing is asked for".into());
    }
    yield_now().await;
    x = x.f_abs()?.f_mul_scalar(factor.into())?;
    Ok(x)
}

#[tokio::test]
async fn every_shape_of_function_is_taken() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    nothing().await;
    let (x, mut sums) = (on_mps(&[-1.0, 2.0]), Vec::new());
    noted(&x, &mut sums).await;
    assert_eq!(sums, [3.0]);
    assert_eq!(values(&picked(x.shallow_clone(), (2.0_f32, ""), 1).await.unwrap()), [2.0, 4.0]);
    assert!(picked(x, (2.0_f32, ""), 0).await.unwrap_err().to_string().contains("nothing is asked for"));
}

#[safe_mps_op]
async fn late(x: &Tensor) -> Result<Tensor, TchError> {
    yield_now().await;
    x.f_abs()
}

#[tokio::test]
async fn the_second_attempt_records_gradients_as_its_task_does_whatever_the_thread_was_switched_to() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    let x = on_mps(&[-1.0]).set_requires_grad(true);
    let other = async {
        let _guard = tch::no_grad_guard();
        yield_now().await;
        yield_now().await;
    };
    let (y, ()) = tokio::join!(late(&x), other);
    y.unwrap().backward();
    assert_eq!(values(&x.grad()), [-1.0]);
}
