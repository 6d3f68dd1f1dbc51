//! An expansion adds no warning, whatever the crate asks of itself; `cargo clippy --all-targets` is the other half of this test.

#![cfg(not(feature = "disable-decorators"))]
#![deny(warnings, missing_docs, unsafe_code, unused, clippy::all, clippy::pedantic, clippy::nursery)]
#![deny(clippy::unwrap_used, clippy::panic, clippy::let_underscore_must_use, clippy::shadow_reuse, clippy::shadow_same)]
#![deny(single_use_lifetimes, unused_lifetimes, unused_qualifications, unreachable_pub, elided_lifetimes_in_paths)]
#![deny(let_underscore_drop, trivial_casts, trivial_numeric_casts, variant_size_differences, meta_variable_misuse)]

use std::future::Future;
use std::io;
use std::pin::Pin;

use backstop::{TimeoutError, timeout_async};

const LIMIT: u64 = 5;

struct Client {
    calls: u32,
}

impl Client {
    #[timeout_async(secs = 30)]
    async fn fetch(&self, symbol: &str) -> io::Result<usize> {
        tokio::task::yield_now().await;
        Ok(symbol.len().max(self.calls.try_into().unwrap_or(0)))
    }

    #[timeout_async(secs = LIMIT, idle_secs = 0.5, retry = 3, fallback = Self::cached)]
    async fn again(&mut self, symbol: &str, _unused: String, (a, mut b): (u32, u32), mut c: Vec<u32>) -> io::Result<u32> {
        tokio::task::yield_now().await;
        self.calls += 1;
        b += 1;
        c.push(a);
        if symbol.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(a + b + c.iter().sum::<u32>())
    }

    async fn cached(&mut self, symbol: &str, unused: String, pair: (u32, u32), list: Vec<u32>, error: io::Error) -> io::Result<u32> {
        tokio::task::yield_now().await;
        drop((symbol, unused, pair, list));
        Err(error)
    }

    #[timeout_async(secs = 5, retry)]
    async fn moved(self: std::sync::Arc<Self>, name: String) -> io::Result<String> {
        tokio::task::yield_now().await;
        Ok(format!("{} {name}", self.calls))
    }
}

#[derive(Clone)]
struct Order {
    price: u32,
    venue: String,
}

impl Order {
    /// Fields that are assigned before they are read.
    #[timeout_async(secs = 5)]
    async fn reprice(mut self, mut other: Self) -> io::Result<u32> {
        self.price = 5;
        tokio::task::yield_now().await;
        other.price = 6;
        Ok(self.price + other.price)
    }

    #[timeout_async(secs = 5, retry, fallback = Self::repriced)]
    async fn reprice_again(mut self, mut other: Self) -> io::Result<u32> {
        self.price = 5;
        tokio::task::yield_now().await;
        other.price = 6;
        Ok(self.price + other.price)
    }

    fn repriced(self, other: Self, error: io::Error) -> io::Result<u32> {
        drop((self.venue, other));
        Err(error)
    }
}

#[timeout_async(millis = 100, on_timeout = drop)]
async fn nothing() {
    tokio::task::yield_now().await;
}

#[timeout_async(secs = 5, isolate, on_timeout = no_value)]
async fn isolated(n: u32) -> Option<u32> {
    tokio::task::yield_now().await;
    n.checked_add(1)
}

fn no_value(error: TimeoutError) -> Option<u32> {
    drop(error);
    None
}

#[timeout_async(secs = 5)]
fn returns_impl(n: u32) -> impl Future<Output = io::Result<u32>> + Send {
    async move { Ok(n) }
}

#[timeout_async(secs = 5, fallback = instead)]
fn returns_boxed<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = io::Result<&'a str>> + Send + 'a>> {
    Box::pin(async move { Ok(text) })
}

const fn instead(_text: &str, error: io::Error) -> io::Result<&str> {
    Err(error)
}

#[timeout_async(secs = 5)]
async fn generic<T: Send>(value: T) -> io::Result<T> {
    tokio::task::yield_now().await;
    Ok(value)
}

#[timeout_async(secs = 5)]
async fn large(values: [u64; 1500]) -> io::Result<u64> {
    tokio::task::yield_now().await;
    Ok(values.iter().sum())
}

#[tokio::test]
async fn an_annotated_crate_keeps_its_lints() -> io::Result<()> {
    let mut client = Client { calls: 1 };
    assert_eq!(client.fetch("ab").await?, 2);
    assert_eq!(client.again("a", String::new(), (1, 2), Vec::new()).await?, 5);
    assert_eq!(std::sync::Arc::new(client).moved("n".to_owned()).await?, "2 n");
    let order = Order { price: 1, venue: "XETRA".to_owned() };
    assert_eq!(order.clone().reprice(order.clone()).await?, 11);
    assert_eq!(order.clone().reprice_again(order).await?, 11);
    nothing().await;
    assert_eq!(isolated(1).await, Some(2));
    assert_eq!(returns_impl(1).await?, 1);
    assert_eq!(returns_boxed("a").await?, "a");
    assert_eq!(generic(1).await?, 1);
    assert_eq!(Box::pin(large([1; 1500])).await?, 1500);
    Ok(())
}
