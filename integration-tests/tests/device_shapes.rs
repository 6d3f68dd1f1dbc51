//! `#[safe_mps_op]` on functions of every shape: methods below `#[async_trait]`, functions that return a future, and results that borrow.
#![cfg(not(feature = "disable-decorators"))]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backstop::{Migrate, TimeoutError, safe_mps_op, timeout_async};
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};
use tokio::task::yield_now;

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).reshape([-1])).unwrap()
}

/// What the functions below compute, on the CPU.
fn expected(input: &[f32]) -> Vec<f32> {
    values(&Tensor::from_slice(input).abs().sqrt())
}

const INPUT: [f32; 3] = [-2.0, 3.0, -0.1];

/// The operator that the device does not have.
fn without_abs() -> Option<Orders> {
    let orders = Orders::take().ok()?;
    orders.unimplemented("aten::abs").unwrap();
    Some(orders)
}

fn is_from_the_cpu(y: &Tensor) {
    assert_eq!((values(y), y.device()), (expected(&INPUT), Device::Mps));
}

#[async_trait]
trait Model: Send + Sync {
    async fn forward(&self, x: Tensor) -> Result<Tensor, TchError>;

    #[safe_mps_op]
    async fn twice(&self, mut x: Tensor, (times, _): (u32, &str)) -> Tensor {
        for _ in 0..times {
            yield_now().await;
            x = x.abs();
        }
        self.forward(x).await.unwrap()
    }
}

struct Root {
    calls: AtomicU32,
}

impl Root {
    fn new() -> Self {
        Root { calls: AtomicU32::new(0) }
    }
}

#[async_trait]
impl Model for Root {
    #[safe_mps_op]
    async fn forward(&self, x: Tensor) -> Result<Tensor, TchError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
        x.f_abs()?.f_sqrt()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_below_async_trait_fall_back_inside_of_spawned_tasks() {
    let Some(_orders) = without_abs() else { return };
    let (root, x) = (Arc::new(Root::new()), on_mps(&INPUT));
    let model: Arc<dyn Model> = root.clone();
    let y = tokio::spawn(async move { model.forward(x).await }).await.unwrap().unwrap();
    is_from_the_cpu(&y);
    assert_eq!(root.calls.load(Ordering::Relaxed), 2, "one attempt on the device, one on the CPU");
    is_from_the_cpu(&root.twice(on_mps(&INPUT), (2, "")).await);
}

#[tokio::test]
async fn without_a_fault_a_method_below_async_trait_runs_once_and_copies_nothing() {
    let Ok(_orders) = Orders::take() else { return };
    let (root, x) = (Root::new(), on_mps(&INPUT));
    let before = sim_mps::counts().dispatched;
    let bare = x.f_abs().and_then(|x| x.f_sqrt()).unwrap();
    let cost = sim_mps::counts().dispatched - before;
    let y = root.forward(x).await.unwrap();
    assert_eq!((sim_mps::counts().dispatched - before, root.calls.load(Ordering::Relaxed)), (2 * cost, 1));
    assert_eq!((values(&y), y.device()), (values(&bare), Device::Mps));
}

#[derive(Migrate)]
struct Agent {
    total: Tensor,
    #[migrate(skip)]
    steps: AtomicU32,
}

#[async_trait(?Send)]
trait Learner {
    async fn learn(&mut self, x: &Tensor) -> Result<f64, TchError>;
    async fn close(self: Box<Self>, x: &Tensor) -> Tensor;
}

#[async_trait(?Send)]
impl Learner for Agent {
    #[safe_mps_op(snapshot)]
    async fn learn(&mut self, x: &Tensor) -> Result<f64, TchError> {
        let _ = self.total.f_add_(x)?;
        yield_now().await;
        let _ = self.total.f_add_(&x.f_abs()?)?;
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.total.f_sum(Kind::Float)?.f_double_value(&[])
    }

    async fn close(self: Box<Self>, x: &Tensor) -> Tensor {
        closed(self.total, x).await
    }
}

#[safe_mps_op]
async fn closed(total: Tensor, x: &Tensor) -> Tensor {
    (total * 0.0 + x).abs().sqrt()
}

#[tokio::test]
async fn state_of_a_boxed_method_is_changed_once() {
    let Some(_orders) = without_abs() else { return };
    let mut agent = Agent { total: on_mps(&[10.0]), steps: AtomicU32::new(0) };
    let same = agent.total.shallow_clone();
    assert_eq!(agent.learn(&on_mps(&[-2.0])).await.unwrap(), 10.0);
    assert_eq!((values(&agent.total), agent.total.device()), (vec![10.0], Device::Mps));
    assert_eq!((agent.total.data_ptr(), agent.steps.load(Ordering::Relaxed)), (same.data_ptr(), 1));
    is_from_the_cpu(&Box::new(agent).close(&on_mps(&INPUT)).await);
}

#[safe_mps_op]
fn later(x: Tensor) -> impl Future<Output = Result<Tensor, TchError>> + Send {
    let made = x.f_abs();
    async move {
        yield_now().await;
        made?.f_sqrt()
    }
}

#[safe_mps_op]
fn later_by_reference(x: &Tensor, factor: f64) -> impl Future<Output = Tensor> {
    async move {
        yield_now().await;
        (x.abs() * factor).sqrt()
    }
}

#[safe_mps_op]
fn boxed<'a>(x: &'a Tensor, log: &'a mut Vec<String>) -> Pin<Box<dyn Future<Output = Result<Tensor, TchError>> + 'a>> {
    log.push("called".to_owned());
    if x.numel() == 0 {
        return Box::pin(async { Err(TchError::Torch("nothing to do".to_owned())) });
    }
    Box::pin(async move {
        yield_now().await;
        log.push("awaited".to_owned());
        x.f_abs()?.f_sqrt()
    })
}

#[safe_mps_op]
fn owned(x: Tensor, name: String) -> Pin<Box<dyn Future<Output = Tensor> + Send>> {
    Box::pin(async move {
        yield_now().await;
        assert_eq!(name, "x");
        x.abs().sqrt()
    })
}

#[safe_mps_op]
fn by_alias<'a>(x: Tensor, name: &'a str) -> BoxFuture<'a, Result<Tensor, AnyError>> {
    Box::pin(async move {
        yield_now().await;
        if name.is_empty() {
            return Err("no name".into());
        }
        Ok(x.f_abs()?.f_sqrt()?)
    })
}

#[safe_mps_op]
fn again_and_again(x: Tensor, times: u32) -> Pin<Box<dyn Future<Output = Tensor> + Send>> {
    Box::pin(async move {
        match times {
            0 => x.abs().sqrt(),
            _ => again_and_again(x, times - 1).await,
        }
    })
}

#[tokio::test]
async fn functions_that_return_a_future_fall_back_when_it_is_awaited() {
    let Some(_orders) = without_abs() else { return };
    let x = on_mps(&INPUT);
    is_from_the_cpu(&later(x.shallow_clone()).await.unwrap());
    is_from_the_cpu(&later_by_reference(&x, 1.0).await);
    let mut log = Vec::new();
    is_from_the_cpu(&boxed(&x, &mut log).await.unwrap());
    assert_eq!(log, ["called", "awaited", "called", "awaited"]);
    is_from_the_cpu(&owned(x.shallow_clone(), "x".to_owned()).await);
    is_from_the_cpu(&tokio::spawn(by_alias(x.shallow_clone(), "x")).await.unwrap().unwrap());
    is_from_the_cpu(&tokio::spawn(again_and_again(x, 2)).await.unwrap());
}

#[tokio::test]
async fn errors_of_the_program_pass_through_a_returned_future_untouched() {
    let Ok(_orders) = Orders::take() else { return };
    let (empty, mut log) = (on_mps(&[]), Vec::new());
    assert_eq!(boxed(&empty, &mut log).await.unwrap_err().to_string(), "Internal torch error: nothing to do");
    assert_eq!(log.len(), 1);
    assert_eq!(by_alias(empty, "").await.unwrap_err().to_string(), "no name");
}

static CALLS: AtomicU32 = AtomicU32::new(0);

#[async_trait(?Send)]
trait Trader {
    async fn value(&self, x: &Tensor) -> Result<Tensor, AnyError>;
    async fn value_the_other_way(&self, x: Tensor) -> Result<Tensor, AnyError>;
}

#[async_trait(?Send)]
impl Trader for Root {
    #[timeout_async(secs = 5, retry = 1)]
    #[safe_mps_op]
    async fn value(&self, x: &Tensor) -> Result<Tensor, AnyError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("the first time always fails".into());
        }
        Ok(x.f_abs()?.f_sqrt()?)
    }

    #[safe_mps_op]
    #[timeout_async(secs = 5)]
    async fn value_the_other_way(&self, x: Tensor) -> Result<Tensor, AnyError> {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(x.f_abs()?.f_sqrt()?)
    }
}

#[safe_mps_op]
#[timeout_async(secs = 5)]
fn both_boxed(x: Tensor) -> Pin<Box<dyn Future<Output = Result<Tensor, AnyError>> + Send>> {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(x.f_abs()?.f_sqrt()?)
    })
}

#[timeout_async(secs = 5, fallback = given_up)]
#[safe_mps_op]
fn both_as_a_future(x: &Tensor) -> impl Future<Output = Result<Tensor, AnyError>> {
    async move {
        CALLS.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(x.f_abs()?.f_sqrt()?)
    }
}

async fn given_up(x: &Tensor, error: AnyError) -> Result<Tensor, AnyError> {
    assert!(error.is::<TimeoutError>(), "{error}");
    Ok(x.shallow_clone())
}

#[tokio::test(start_paused = true)]
async fn both_attributes_stand_on_every_shape_in_either_order() {
    let Some(_orders) = without_abs() else { return };
    let (root, x) = (Root::new(), on_mps(&INPUT));
    is_from_the_cpu(&root.value(&x).await.unwrap());
    is_from_the_cpu(&both_boxed(x.shallow_clone()).await.unwrap());
    let late = root.value_the_other_way(x.shallow_clone()).await.unwrap_err();
    assert!(late.is::<TimeoutError>(), "the guard is outside: both attempts together took 6 s: {late}");
    let same = both_as_a_future(&x).await.unwrap();
    assert_eq!((same.data_ptr(), CALLS.load(Ordering::Relaxed)), (x.data_ptr(), 2));
}

#[derive(Migrate)]
struct Layers {
    rows: Vec<Tensor>,
    name: String,
}

impl Layers {
    fn new() -> Self {
        Layers { rows: vec![on_mps(&[1.0]), on_mps(&[2.0])], name: "layers".to_owned() }
    }

    #[safe_mps_op]
    fn best(&self, scores: &Tensor) -> Option<&Tensor> {
        self.rows.get(scores.abs().argmax(0, false).int64_value(&[]) as usize)
    }

    #[safe_mps_op]
    fn best_mut(&mut self, scores: &Tensor) -> Result<&mut Tensor, TchError> {
        let at = scores.f_abs()?.f_argmax(0, false)?.f_int64_value(&[])?;
        Ok(&mut self.rows[at as usize])
    }

    #[safe_mps_op]
    async fn best_later(&self, scores: &Tensor) -> Result<&Tensor, TchError> {
        yield_now().await;
        Ok(&self.rows[scores.f_abs()?.f_argmax(0, false)?.f_int64_value(&[])? as usize])
    }

    #[safe_mps_op]
    fn named<'a>(&self, scores: &Tensor, names: &'a [String]) -> &'a str {
        assert_eq!(self.name, "layers");
        &names[scores.abs().argmax(0, false).int64_value(&[]) as usize]
    }
}

#[safe_mps_op]
fn itself<'a>(x: &'a Tensor, _y: &Tensor) -> &'a Tensor {
    let _ = x.abs();
    x
}

#[safe_mps_op(snapshot)]
fn larger<'a>(x: Option<&'a Tensor>, rows: &'a [&'a Tensor], scale: &mut Tensor) -> Result<&'a Tensor, TchError> {
    let _ = scale.f_add_scalar_(1.0)?;
    let _ = scale.f_abs()?;
    Ok(x.unwrap_or(rows[0]))
}

#[tokio::test]
async fn a_result_that_borrows_is_handed_out_as_it_is() {
    let Ok(_orders) = Orders::take() else { return };
    let (mut layers, scores) = (Layers::new(), on_mps(&[1.0, -5.0]));
    let second = layers.rows[1].data_ptr();
    assert_eq!(layers.best(&scores).unwrap().data_ptr(), second);
    assert_eq!(layers.best_later(&scores).await.unwrap().data_ptr(), second);
    *layers.best_mut(&scores).unwrap() += 1.0;
    assert_eq!(values(&layers.rows[1]), [3.0]);
    assert!(std::ptr::eq(itself(&scores, &layers.rows[0]), &scores));
    let mut scale = on_mps(&[1.0]);
    assert!(std::ptr::eq(larger(None, &[&scores], &mut scale).unwrap(), &scores));
    assert_eq!(values(&scale), [2.0]);
}

#[tokio::test]
async fn a_result_that_borrows_from_tensors_cannot_come_from_the_cpu_and_the_fault_says_so() {
    let Some(orders) = without_abs() else { return };
    let (mut layers, scores) = (Layers::new(), on_mps(&[1.0, -5.0]));
    let refused = |text: &str, argument: &str| {
        assert!(text.contains("The operator 'aten::abs"), "{text}");
        assert!(
            text.contains(&format!("the result borrows from `{argument}`, and cannot borrow from a copy: return an owned value")),
            "{text}"
        );
    };
    for _ in 0..5 {
        refused(&layers.best_mut(&scores).unwrap_err().to_string(), "self");
        refused(&layers.best_later(&scores).await.unwrap_err().to_string(), "self");
    }
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| values(itself(&scores, &layers.rows[0])))).unwrap_err();
    refused(panic.downcast_ref::<String>().unwrap(), "x");
    let mut scale = on_mps(&[1.0]);
    refused(&larger(Some(&scores), &[], &mut scale).unwrap_err().to_string(), "x");
    assert_eq!(values(&scale), [1.0], "with `snapshot` everything is as before");
    orders.reset();
    assert_eq!(values(layers.best_mut(&scores).unwrap()), [2.0], "no call was sent to the CPU");
}

#[test]
fn a_result_that_borrows_from_what_is_not_on_the_device_comes_from_the_cpu() {
    let Some(_orders) = without_abs() else { return };
    let scores = on_mps(&[1.0, -5.0]);
    let names = ["a".to_owned(), "b".to_owned()];
    assert_eq!(Layers::new().named(&scores, &names), "b");
    let on_cpu = Layers { rows: vec![Tensor::from_slice(&[1.0f32]), Tensor::from_slice(&[2.0f32])], name: String::new() };
    assert!(std::ptr::eq(on_cpu.best(&scores).unwrap(), &on_cpu.rows[1]));
}

struct Opaque(u32);

#[safe_mps_op]
fn counted(x: &Tensor, by_reference: &Opaque, exclusive: &mut Opaque) -> Tensor {
    exclusive.0 += by_reference.0;
    x.abs().sqrt()
}

#[test]
fn what_has_no_clone_is_passed_by_reference() {
    let Some(_orders) = without_abs() else { return };
    let mut calls = Opaque(0);
    is_from_the_cpu(&counted(&on_mps(&INPUT), &Opaque(1), &mut calls));
    assert_eq!(calls.0, 2);
}
