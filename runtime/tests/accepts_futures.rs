//! `#[timeout_async]` takes functions that return futures, recursion, futures that are not `Send`, and leaves `Send` as it was.

#![cfg(not(feature = "disable-decorators"))]

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use backstop::{TimeoutError, timeout_async};

#[timeout_async(secs = 1)]
fn returns_impl(text: &str) -> impl Future<Output = io::Result<usize>> + Send + use<'_> {
    if text.is_empty() {
        return in_two(0);
    }
    in_two(text.len())
}

fn in_two<'a>(n: usize) -> Pin<Box<dyn Future<Output = io::Result<usize>> + Send + 'a>> {
    Box::pin(async move { Ok(n / 2) })
}

#[timeout_async(secs = 1)]
fn returns_boxed<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = io::Result<&'a str>> + Send + 'a>> {
    if text.is_empty() {
        return Box::pin(async { Err(io::ErrorKind::InvalidInput.into()) });
    }
    Box::pin(async move { Ok(text.trim()) })
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[timeout_async(secs = 1, retry = 1, fallback = boxed_instead)]
fn returns_alias(text: &str, n: String) -> BoxFuture<'_, io::Result<usize>> {
    let n = n.len();
    Box::pin(async move { if n == 0 { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(text.len() + n) } })
}

async fn boxed_instead(text: &str, _n: String, _error: io::Error) -> io::Result<usize> {
    Ok(text.len())
}

#[timeout_async(secs = 1, fallback = impl_instead)]
fn impl_falls<T: AsRef<str> + Clone>(text: T) -> impl Future<Output = u32> {
    let n = text.as_ref().len();
    async move { u32::try_from(n).unwrap_or(0) }
}

fn impl_instead<T>(_text: T, _error: TimeoutError) -> u32 {
    7
}

struct Counter(u32);

impl Counter {
    #[timeout_async(secs = 1)]
    fn boxed_exclusive(&mut self) -> Pin<Box<dyn Future<Output = io::Result<u32>> + '_>> {
        let this = &mut *self;
        Box::pin(async {
            this.0 += 1;
            Ok(this.0)
        })
    }
}

trait Service {
    type Error;
    fn call(&self, n: u32) -> impl Future<Output = Result<u32, Self::Error>> + Send;
}

impl Service for Counter {
    type Error = io::Error;

    #[timeout_async(secs = 1)]
    fn call(&self, n: u32) -> impl Future<Output = Result<u32, Self::Error>> + Send {
        let sum = self.0 + n;
        async move { Ok(sum) }
    }
}

impl<T: Service<Error = io::Error> + Sync> Service for Box<T> {
    type Error = io::Error;

    #[timeout_async(secs = 1)]
    async fn call(&self, n: u32) -> Result<u32, Self::Error> {
        (**self).call(n).await
    }
}

#[timeout_async(secs = 1)]
async fn recursive(n: u32) -> io::Result<u32> {
    if n == 0 {
        return Ok(0);
    }
    Ok(1 + Box::pin(recursive(n - 1)).await?)
}

#[timeout_async(secs = 1)]
fn recursive_boxed(n: u32) -> Pin<Box<dyn Future<Output = io::Result<u32>> + Send>> {
    Box::pin(async move { if n == 0 { Ok(0) } else { Ok(1 + recursive_boxed(n - 1).await?) } })
}

#[timeout_async(secs = 1, retry = 1, fallback = local_instead)]
async fn not_send(cell: Rc<Cell<u32>>) -> io::Result<Rc<Cell<u32>>> {
    tokio::task::yield_now().await;
    cell.set(cell.get() + 1);
    Ok(cell)
}

async fn local_instead(cell: Rc<Cell<u32>>, _error: io::Error) -> io::Result<Rc<Cell<u32>>> {
    Ok(cell)
}

/// An error that is not `Send`.
#[derive(Debug)]
struct Local(#[expect(dead_code)] Rc<str>);

impl From<TimeoutError> for Local {
    fn from(error: TimeoutError) -> Self {
        Local(error.to_string().into())
    }
}

#[timeout_async(secs = 1)]
async fn local_error() -> Result<u32, Local> {
    Ok(1)
}

/// `Send`, but not `Sync`: it may be held by a future that moves between threads, and not borrowed by it.
#[derive(Clone)]
struct Moved(Cell<u32>);

#[timeout_async(secs = 1)]
async fn moved(value: Moved) -> io::Result<u32> {
    tokio::task::yield_now().await;
    Ok(value.0.get())
}

#[timeout_async(secs = 1, retry = 1, fallback = moved_instead)]
async fn moved_again(value: Moved) -> io::Result<u32> {
    tokio::task::yield_now().await;
    if value.0.get() == 0 { Err(io::ErrorKind::Other.into()) } else { Ok(value.0.get()) }
}

async fn moved_instead(value: Moved, error: io::Error) -> io::Result<u32> {
    tokio::task::yield_now().await;
    drop(error);
    Ok(value.0.get() + 5)
}

#[timeout_async(secs = 1, retry = 1)]
async fn moved_beside(value: Moved, sum: &mut u32) -> io::Result<u32> {
    tokio::task::yield_now().await;
    *sum += value.0.get();
    Ok(*sum)
}

#[timeout_async(secs = 1, isolate)]
async fn isolated(value: Moved) -> io::Result<u32> {
    tokio::task::yield_now().await;
    Ok(value.0.get())
}

#[timeout_async(secs = 1, isolate, retry = 1, fallback = moved_instead)]
async fn isolated_again(value: Moved) -> io::Result<u32> {
    tokio::task::yield_now().await;
    if value.0.get() == 0 { Err(io::ErrorKind::Other.into()) } else { Ok(value.0.get()) }
}

#[tokio::test]
async fn functions_that_return_futures_are_guarded() {
    assert_eq!(returns_impl("abcd").await.unwrap(), 2);
    assert_eq!(returns_boxed(" a ").await.unwrap(), "a");
    assert!(returns_boxed("").await.is_err());
    assert_eq!(returns_alias("ab", "c".to_owned()).await.unwrap(), 3);
    assert_eq!(returns_alias("ab", String::new()).await.unwrap(), 2);
    assert_eq!(impl_falls("abc").await, 3);
    let mut counter = Counter(1);
    assert_eq!(counter.boxed_exclusive().await.unwrap(), 2);
    assert_eq!(counter.call(3).await.unwrap(), 5);
    assert_eq!(Box::new(counter).call(3).await.unwrap(), 5);
}

#[tokio::test]
async fn recursion_and_local_futures_work() {
    assert_eq!(recursive(3).await.unwrap(), 3);
    assert_eq!(recursive_boxed(3).await.unwrap(), 3);
    assert_eq!(not_send(Rc::new(Cell::new(1))).await.unwrap().get(), 2);
    assert_eq!(local_error().await.unwrap(), 1);
}

#[tokio::test]
async fn send_stays_as_it_was() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let one = || Moved(Cell::new(1));
    assert_eq!(send(moved(one())).await.unwrap(), 1);
    assert_eq!(send(moved_again(one())).await.unwrap(), 1);
    assert_eq!(send(moved_again(Moved(Cell::new(0)))).await.unwrap(), 5);
    assert_eq!(send(moved_beside(one(), &mut 1)).await.unwrap(), 2);
    assert_eq!(send(isolated(one())).await.unwrap(), 1);
    assert_eq!(send(isolated_again(one())).await.unwrap(), 1);
    assert_eq!(send(recursive(2)).await.unwrap(), 2);
    assert_eq!(send(recursive_boxed(2)).await.unwrap(), 2);
    assert_eq!(send(returns_impl("ab")).await.unwrap(), 1);
}
