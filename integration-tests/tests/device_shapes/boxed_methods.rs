//! Methods below `#[async_trait]`.

use super::*;

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

pub struct Root {
    pub calls: AtomicU32,
}

impl Root {
    pub fn new() -> Self {
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
