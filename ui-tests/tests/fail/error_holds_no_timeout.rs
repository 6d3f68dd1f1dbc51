use std::future::Future;
use std::pin::Pin;

use backstop::timeout_async;

#[derive(Debug)]
enum ApiError {
    Refused,
}

#[timeout_async(secs = 30)]
async fn fetch() -> Result<u32, ApiError> {
    Err(ApiError::Refused)
}

#[timeout_async(secs = 30, fallback = cached)]
async fn with_fallback() -> Result<u32, ApiError> {
    Err(ApiError::Refused)
}

fn cached(error: ApiError) -> Result<u32, ApiError> {
    Err(error)
}

#[timeout_async(secs = 30)]
async fn generic<E: std::error::Error>(error: E) -> Result<u32, E> {
    Err(error)
}

#[timeout_async(secs = 30)]
fn boxed() -> Pin<Box<dyn Future<Output = Result<u32, ApiError>>>> {
    Box::pin(async { Err(ApiError::Refused) })
}

fn main() {}
