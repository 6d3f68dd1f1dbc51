//! A limit that passes, in every form that the attribute takes: what the caller gets, and how often the body ran.

#![cfg(not(feature = "disable-decorators"))]

use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;

use backstop::{TimeoutError, TimeoutKind, timeout_async};

#[timeout_async(secs = 1)]
async fn result() -> io::Result<u32> {
    pending().await
}

#[timeout_async(secs = 1)]
fn future() -> impl Future<Output = Result<u32, TimeoutError>> {
    pending()
}

#[timeout_async(secs = 1)]
fn boxed<'a>(_text: &'a str) -> Pin<Box<dyn Future<Output = Result<&'a str, TimeoutError>> + 'a>> {
    Box::pin(pending())
}

#[timeout_async(secs = 1, on_timeout = attempts_of)]
async fn value() -> u32 {
    pending().await
}

fn attempts_of(error: TimeoutError) -> u32 {
    error.attempts()
}

#[timeout_async(secs = 1, fallback = function_of)]
async fn value_with_fallback(name: &'static str) -> String {
    pending::<()>().await;
    name.to_owned()
}

async fn function_of(name: &'static str, error: TimeoutError) -> String {
    tokio::task::yield_now().await;
    format!("{name}: {} {:?}", error.function(), error.kind())
}

#[timeout_async(secs = 1, fallback = instead)]
async fn inner_error_at_the_deadline() -> io::Result<String> {
    sleep(1000).await;
    Err(io::ErrorKind::ConnectionReset.into())
}

fn instead(error: io::Error) -> io::Result<String> {
    Ok(error.kind().to_string())
}

async fn sleep(millis: u64) {
    tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
}

struct Client {
    calls: u32,
}

impl Client {
    #[timeout_async(secs = 1, retry = 2, fallback = Self::count)]
    async fn send(&mut self, mut order: Vec<u32>, seen: &Cell<usize>) -> Result<u32, TimeoutError> {
        self.calls += 1;
        order.push(self.calls);
        seen.set(seen.get() + order.len());
        pending().await
    }

    fn count(&mut self, order: Vec<u32>, _seen: &Cell<usize>, error: TimeoutError) -> Result<u32, TimeoutError> {
        assert_eq!((order.len(), error.attempt()), (1, 3));
        Ok(self.calls)
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_becomes_the_functions_own_error() {
    let late = result().await.unwrap_err();
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    let inner = late.get_ref().and_then(|inner| inner.downcast_ref::<TimeoutError>()).expect("the timeout itself");
    assert_eq!((inner.function(), inner.kind()), ("attribute_timeouts::result", TimeoutKind::Limit));
    assert_eq!(future().await.unwrap_err().function(), "attribute_timeouts::future");
    assert_eq!(boxed("text").await.unwrap_err().function(), "attribute_timeouts::boxed");
}

#[tokio::test(start_paused = true)]
async fn a_function_without_a_result_gets_what_it_asked_for() {
    assert_eq!(value().await, 1);
    assert_eq!(value_with_fallback("name").await, "name: attribute_timeouts::value_with_fallback Limit");
}

#[tokio::test(start_paused = true)]
async fn every_attempt_gets_its_own_arguments_and_the_fallback_too() {
    let (mut client, seen) = (Client { calls: 0 }, Cell::new(0));
    assert_eq!(client.send(vec![7], &seen).await.unwrap(), 3);
    assert_eq!(seen.get(), 3 * 2, "each attempt pushed onto a clone of one element");
}

#[tokio::test(start_paused = true)]
async fn an_error_at_the_deadline_is_a_timeout() {
    assert_eq!(inner_error_at_the_deadline().await.unwrap(), io::ErrorKind::TimedOut.to_string());
}
