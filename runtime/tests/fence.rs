//! Fences: a function is refused while the rest of the program runs on.

mod common;

use std::io;
use std::time::Duration;

use backstop::{Outcome, Rejection, TimeoutError, TimeoutKind, fence, timeout_async, unfence};
use common::ended;
use tokio::time::{Instant, sleep};

fn install() {
    common::install("[functions.\"fence.by_policy\"]\nfenced = true\n");
}

fn cause(error: &io::Error) -> &TimeoutError {
    error.get_ref().and_then(|inner| inner.downcast_ref()).expect("the error is a TimeoutError")
}

#[timeout_async(name = "fence.sends")]
async fn sends(time: Duration) -> io::Result<u32> {
    sleep(time).await;
    Ok(7)
}

#[timeout_async(name = "fence.goes_on")]
async fn goes_on() -> io::Result<u32> {
    Ok(7)
}

#[tokio::test(start_paused = true)]
async fn a_fenced_function_is_refused_at_once_while_the_rest_and_its_running_calls_go_on() {
    let running = tokio::spawn(sends(Duration::from_secs(5)));
    sleep(Duration::from_secs(1)).await;
    fence("fence.sends").unwrap();
    fence("fence.sends").unwrap();
    let before = Instant::now();
    let refused = sends(Duration::from_secs(5)).await.unwrap_err();
    assert!(before.elapsed().is_zero());
    assert_eq!(cause(&refused).kind(), TimeoutKind::Rejected(Rejection::Fenced));
    assert_eq!(cause(&refused).set_by().to_string(), "a call of backstop::fence");
    assert!(refused.to_string().starts_with("`fence.sends` was not called: it is fenced"), "{refused}");
    assert_eq!(goes_on().await.unwrap(), 7);
    assert_eq!(running.await.unwrap().unwrap(), 7);
    assert_eq!(backstop::explain("fence.sends").unwrap().setting("fenced").unwrap().value(), "true");

    unfence("fence.sends").unwrap();
    assert_eq!(sends(Duration::ZERO).await.unwrap(), 7);
    assert_eq!((ended("fence.sends", Outcome::Rejected), ended("fence.sends", Outcome::Ok)), (1, 2));
}

async fn instead(_: io::Error) -> io::Result<u32> {
    Ok(8)
}

#[timeout_async(name = "fence.falls_back", fallback = instead)]
async fn falls_back() -> io::Result<u32> {
    Ok(7)
}

#[tokio::test(start_paused = true)]
async fn the_fallback_of_a_fenced_function_is_called() {
    fence("fence.falls_back").unwrap();
    assert_eq!(falls_back().await.unwrap(), 8);
    unfence("fence.falls_back").unwrap();
    assert_eq!(falls_back().await.unwrap(), 7);
}

#[timeout_async(name = "fence.by_policy")]
async fn by_policy() -> io::Result<u32> {
    Ok(7)
}

#[tokio::test(start_paused = true)]
async fn a_policy_fences_and_a_fence_outlives_an_install() {
    fence("fence.goes_on_after_install").unwrap();
    install();
    assert!(cause(&by_policy().await.unwrap_err()).set_by().to_string().ends_with(".toml:2"));
    unfence("fence.by_policy").unwrap();
    assert!(by_policy().await.is_err(), "the policy stands");
    assert!(goes_on_after_install().await.is_err(), "the fence stands");
    unfence("fence.goes_on_after_install").unwrap();
    assert!(goes_on_after_install().await.is_ok());
}

#[timeout_async(name = "fence.goes_on_after_install")]
async fn goes_on_after_install() -> io::Result<u32> {
    Ok(7)
}

#[test]
fn a_name_that_is_not_known_is_answered_with_the_nearest() {
    assert_eq!(fence("fence.send").unwrap_err().nearest(), Some("fence.sends"));
    assert!(unfence("fence.send").is_err());
}

#[timeout_async(secs = 300, name = "fence.is_hot")]
async fn is_hot() -> io::Result<u32> {
    Ok(7)
}

#[tokio::test]
async fn the_next_call_of_a_busy_loop_is_refused() {
    for _ in 0..20 {
        for _ in 0..2000 {
            assert!(is_hot().await.is_ok());
        }
        fence("fence.is_hot").unwrap();
        assert!(is_hot().await.is_err());
        unfence("fence.is_hot").unwrap();
    }
}
