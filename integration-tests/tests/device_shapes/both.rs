//! Both attributes, in either order.

use super::boxed_methods::Root;
use super::*;

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
