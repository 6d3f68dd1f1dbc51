//! Other crates' attributes beside `#[timeout_async]`, above it and below it.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use backstop::{TimeoutError, timeout_async};
use tracing::instrument;

#[async_trait]
trait Exchange {
    async fn send(&mut self, order: String) -> io::Result<usize>;

    #[timeout_async(secs = 5)]
    async fn send_twice(&mut self, order: &str) -> io::Result<usize> {
        Ok(self.send(order.to_owned()).await? + self.send(order.to_owned()).await?)
    }
}

struct Paper {
    sent: usize,
}

#[async_trait]
impl Exchange for Paper {
    #[timeout_async(secs = 5)]
    async fn send(&mut self, order: String) -> io::Result<usize> {
        if order.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.sent += order.len();
        Ok(self.sent)
    }
}

#[async_trait]
trait Quotes: Sync {
    async fn quote<'a>(&self, symbol: &'a str, scale: String) -> Result<f64, Box<dyn std::error::Error + Send + Sync>>;
    async fn instead<'a>(
        &self,
        symbol: &'a str,
        scale: String,
        error: Box<dyn std::error::Error + Send + Sync>,
    ) -> Result<f64, Box<dyn std::error::Error + Send + Sync>>;
}

#[async_trait]
impl<T: Send + Sync> Quotes for Vec<T> {
    #[timeout_async(secs = 5, retry = 1, fallback = Self::instead)]
    async fn quote<'a>(&self, symbol: &'a str, scale: String) -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
        if scale.is_empty() { Err("no scale".into()) } else { Ok((symbol.len() + self.len()) as f64 * scale.parse::<f64>()?) }
    }

    async fn instead<'a>(
        &self,
        _symbol: &'a str,
        _scale: String,
        error: Box<dyn std::error::Error + Send + Sync>,
    ) -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
        assert_eq!(error.to_string(), "no scale");
        Ok(0.0)
    }
}

#[async_trait(?Send)]
trait Local {
    async fn run(self: Box<Self>) -> io::Result<u32>;
}

#[async_trait(?Send)]
impl Local for std::rc::Rc<u32> {
    #[timeout_async(secs = 5)]
    async fn run(self: Box<Self>) -> io::Result<u32> {
        tokio::task::yield_now().await;
        Ok(**self)
    }
}

#[instrument(skip(text), err)]
#[timeout_async(secs = 5)]
async fn instrument_above(text: &str) -> io::Result<usize> {
    Ok(text.len())
}

#[timeout_async(secs = 5, retry)]
#[instrument(skip_all, fields(length = text.len()))]
async fn instrument_below(text: &str) -> io::Result<usize> {
    Ok(text.len())
}

static RUNS: AtomicU32 = AtomicU32::new(0);

#[tokio::main(flavor = "current_thread")]
#[timeout_async(secs = 5)]
async fn main_above() -> io::Result<u32> {
    tokio::task::yield_now().await;
    if RUNS.fetch_add(1, Ordering::Relaxed) == 0 { Err(io::ErrorKind::Other.into()) } else { Ok(1) }
}

#[timeout_async(secs = 5)]
#[tokio::main(flavor = "current_thread")]
async fn main_below() -> io::Result<u32> {
    tokio::task::yield_now().await;
    Ok(2)
}

#[tokio::main(flavor = "current_thread")]
#[timeout_async(secs = 5, on_timeout = drop)]
async fn main_without_result() {
    tokio::task::yield_now().await;
}

#[test]
fn tokio_main_stands_above_or_below() {
    assert!(main_above().is_err());
    assert_eq!(main_above().unwrap(), 1);
    assert_eq!(main_below().unwrap(), 2);
    main_without_result();
    let sites: Vec<_> = backstop::sites().iter().map(|site| site.name()).filter(|name| name.contains("main_")).collect();
    assert_eq!(sites, ["accepts_others::main_above", "accepts_others::main_below", "accepts_others::main_without_result"]);
}

#[tokio::test]
#[timeout_async(secs = 5)]
async fn a_tokio_test_is_guarded_above() -> Result<(), TimeoutError> {
    tokio::task::yield_now().await;
    Ok(())
}

#[timeout_async(secs = 5, on_timeout = fail)]
#[tokio::test(start_paused = true)]
async fn a_tokio_test_is_guarded_below() {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}

fn fail(error: TimeoutError) {
    panic!("{error}");
}

#[tokio::test]
async fn async_trait_methods_are_guarded() {
    let mut paper = Paper { sent: 0 };
    assert_eq!(paper.send_twice("ab").await.unwrap(), 6);
    assert!(paper.send(String::new()).await.is_err());
    let mut exchange: Box<dyn Exchange + Send> = Box::new(paper);
    assert_eq!(tokio::spawn(async move { exchange.send_twice("a").await }).await.unwrap().unwrap(), 5 + 6);
    let quotes: Box<dyn Quotes + Send> = Box::new(vec![(), ()]);
    assert_eq!(quotes.quote("abc", "2".to_owned()).await.unwrap(), 10.0);
    assert_eq!(quotes.quote("abc", String::new()).await.unwrap(), 0.0);
    assert_eq!(Box::new(std::rc::Rc::new(3)).run().await.unwrap(), 3);
}

#[tokio::test]
async fn instrumented_functions_are_guarded() {
    assert_eq!(instrument_above("abc").await.unwrap(), 3);
    assert_eq!(instrument_below("abc").await.unwrap(), 3);
}
