//! Functions that `#[timeout_async]` takes.

use std::io;

use backstop::{TimeoutError, timeout_async};

#[derive(Debug)]
struct Own(#[expect(dead_code)] Option<TimeoutError>);

impl From<TimeoutError> for Own {
    fn from(error: TimeoutError) -> Self {
        Own(Some(error))
    }
}

#[timeout_async(secs = 30)]
async fn plain(x: u32) -> Result<u32, Own> {
    if x == 0 {
        return Err(Own(None));
    }
    Ok(x + 1)
}

#[timeout_async(secs = 1, retry = 2)]
async fn retried(x: String, y: &str) -> io::Result<String> {
    Ok(format!("{x}{y}"))
}

#[timeout_async(secs = 1, fallback = cached)]
async fn falls(x: String, y: &str) -> io::Result<String> {
    if x == y {
        return Err(io::ErrorKind::Other.into());
    }
    Ok(format!("{x}{y}"))
}

async fn cached(x: String, _y: &str, error: io::Error) -> io::Result<String> {
    Ok(format!("{x}: {error}"))
}

#[timeout_async(secs = 1, fallback = zero)]
async fn value(x: &mut u32) -> u32 {
    *x += 1;
    *x
}

fn zero(x: &mut u32, _error: TimeoutError) -> u32 {
    *x
}

#[tokio::test]
async fn basics() {
    assert_eq!(plain(1).await.unwrap(), 2);
    assert!(plain(0).await.is_err());
    assert_eq!(retried("a".into(), "b").await.unwrap(), "ab");
    assert_eq!(falls("a".into(), "a").await.unwrap(), "a: other error");
    assert_eq!(value(&mut 3).await, 4);
}
