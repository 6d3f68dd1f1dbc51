//! Functions that return a future.

use super::*;

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
