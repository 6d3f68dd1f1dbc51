//! The longest silence between two signs of life, on tokio's paused clock.

use std::io;
use std::time::Duration;

use backstop::{TimeoutError, TimeoutKind, timeout_async};
use tokio::time::{Instant, sleep};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn kind(error: &io::Error) -> TimeoutKind {
    error.get_ref().and_then(|inner| inner.downcast_ref::<TimeoutError>()).expect("a timeout").kind()
}

#[timeout_async(secs = 100_000, idle_secs = 30, name = "idle.feed")]
async fn feed(beats: u32, every: Duration) -> io::Result<()> {
    for beat in 0..beats {
        sleep(every).await;
        backstop::beat_with(format_args!("bar {beat}"));
    }
    sleep(secs(10_000)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_beats_lives_and_one_that_stops_ends_one_idle_limit_later() {
    let before = Instant::now();
    let error = feed(30, secs(10)).await.unwrap_err();
    assert_eq!(kind(&error), TimeoutKind::Idle);
    assert_eq!(before.elapsed().as_secs(), 330);
}

#[timeout_async(secs = 100_000, idle_secs = 30, name = "idle.calls")]
async fn calls() -> io::Result<u32> {
    for _ in 0..20 {
        step().await?;
    }
    Ok(20)
}

#[timeout_async(secs = 100, name = "idle.step")]
async fn step() -> io::Result<()> {
    sleep(secs(25)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_guarded_call_inside_that_succeeds_is_a_sign_of_life() {
    assert_eq!(calls().await.unwrap(), 20);
}

#[timeout_async(secs = 100_000, idle_secs = 30, name = "idle.loads")]
async fn loads(work: Duration) -> io::Result<()> {
    let _hold = backstop::hold("loading checkpoint", secs(600));
    sleep(work).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_hold_vouches_for_a_silent_stretch_and_no_longer() {
    loads(secs(540)).await.unwrap();
    let before = Instant::now();
    assert_eq!(kind(&loads(secs(5_000)).await.unwrap_err()), TimeoutKind::Idle);
    assert_eq!(before.elapsed().as_secs(), 630, "the hold's end plus one idle limit");
}

#[timeout_async(secs = 100_000, idle_secs = 30, name = "idle.two_holds")]
async fn two_holds() -> io::Result<()> {
    let long = backstop::hold("long", secs(600));
    let short = backstop::hold("short", secs(60));
    sleep(secs(50)).await;
    drop(short);
    sleep(secs(500)).await;
    drop(long);
    sleep(secs(29)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_short_hold_that_ends_does_not_free_a_longer_one() {
    two_holds().await.unwrap();
}

#[timeout_async(secs = 100_000, idle_secs = 30, name = "idle.silent_after_a_hold")]
async fn silent_after_a_hold() -> io::Result<()> {
    let hold = backstop::hold("loading checkpoint", secs(600));
    sleep(secs(50)).await;
    drop(hold);
    sleep(secs(5_000)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn after_a_hold_that_ends_early_the_silence_is_found_one_idle_limit_later() {
    let before = Instant::now();
    assert_eq!(kind(&silent_after_a_hold().await.unwrap_err()), TimeoutKind::Idle);
    assert_eq!(before.elapsed().as_secs(), 80);
}
