//! What the arguments become: the static of each function says it.

#![cfg(not(feature = "disable-decorators"))]
#![allow(dead_code, reason = "most are there for their static")]

use std::io;
use std::time::Duration;

use backstop::{Site, TimeoutError, timeout_async};

const WHOLE: u64 = 7;
const SMALL: i32 = 3;
const PART: f64 = 0.25;
const SINGLE: f32 = 1.5;
const SPAN: Duration = Duration::from_millis(1234);

#[timeout_async(secs = 30)]
async fn whole() -> io::Result<()> {
    Ok(())
}

#[timeout_async(secs = 0.5)]
async fn part() -> io::Result<()> {
    Ok(())
}

#[timeout_async(millis = 250, idle_millis = 1_500, grace_secs = 2u64)]
async fn millis() -> io::Result<()> {
    Ok(())
}

#[timeout_async(secs = WHOLE, idle_secs = SMALL, grace_secs = PART)]
async fn constants() -> io::Result<()> {
    Ok(())
}

#[timeout_async(secs = SINGLE, idle_secs = SPAN, grace_secs = 60 * 60)]
async fn more_constants() -> io::Result<()> {
    Ok(())
}

#[timeout_async(secs = if cfg!(debug_assertions) { 120 } else { 30 }, idle_secs = match WHOLE { 1 => 0.5, _ => { 3.0 } }, grace_secs = if WHOLE > 1 { WHOLE } else { 1 })]
async fn decided() -> io::Result<()> {
    Ok(())
}

#[timeout_async(secs = 2 * WHOLE, idle_secs = 0.5 * 3.0)]
async fn arithmetic() -> io::Result<()> {
    Ok(())
}

#[timeout_async]
async fn nothing() -> io::Result<()> {
    Ok(())
}

#[timeout_async()]
async fn empty() -> io::Result<()> {
    Ok(())
}

#[timeout_async(retry, isolate)]
async fn retry_by_policy() -> io::Result<()> {
    Ok(())
}

const TIMES: u32 = 4;

#[timeout_async(retry = TIMES, fallback = instead, name = "api.fetch",)]
async fn named() -> io::Result<()> {
    Ok(())
}

fn instead(error: io::Error) -> io::Result<()> {
    Err(error)
}

mod inner {
    #[rustfmt::skip]
    #[backstop::timeout_async(secs = 1, on_timeout = |_| ())] #[cfg(any())] async fn gone() {}

    pub struct Client;

    impl Client {
        #[backstop::timeout_async(secs = 1)]
        pub async fn r#type(&self) -> std::io::Result<()> {
            Ok(())
        }
    }
}

#[timeout_async(secs = 1, fallback = zero, on_timeout = refused)]
async fn both(fail: bool) -> Result<u32, String> {
    if fail { Err("own".to_owned()) } else { Ok(1) }
}

fn zero(_fail: bool, error: String) -> Result<u32, String> {
    assert_eq!(error, "own");
    Ok(0)
}

fn refused(error: TimeoutError) -> Result<u32, String> {
    Err(error.to_string())
}

fn site(name: &str) -> &'static Site {
    let found: Vec<_> = backstop::sites().iter().filter(|site| site.name() == name).collect();
    assert_eq!(found.len(), 1, "{name} in {:?}", backstop::sites());
    found[0]
}

fn limits(name: &str) -> [Option<Duration>; 3] {
    let settings = site(&format!("accepts_settings::{name}")).settings();
    [settings.limit, settings.idle, settings.grace]
}

#[test]
fn limits_are_durations() {
    let seconds = |seconds: f64| Some(Duration::from_secs_f64(seconds));
    assert_eq!(limits("whole"), [seconds(30.0), None, None]);
    assert_eq!(limits("part"), [seconds(0.5), None, None]);
    assert_eq!(limits("millis"), [seconds(0.25), seconds(1.5), seconds(2.0)]);
    assert_eq!(limits("constants"), [seconds(7.0), seconds(3.0), seconds(0.25)]);
    assert_eq!(limits("more_constants"), [seconds(1.5), seconds(1.234), seconds(3600.0)]);
    let decided = if cfg!(debug_assertions) { 120.0 } else { 30.0 };
    assert_eq!(limits("decided"), [seconds(decided), seconds(3.0), seconds(7.0)]);
    assert_eq!(limits("arithmetic"), [seconds(14.0), seconds(1.5), None]);
    assert_eq!(limits("nothing"), [None; 3]);
    assert_eq!(limits("empty"), [None; 3]);
}

#[test]
fn the_other_arguments_are_in_the_settings() {
    let by_policy = site("accepts_settings::retry_by_policy").settings();
    assert_eq!((by_policy.retry, by_policy.isolate, by_policy.fallback), (Some(None), true, false));
    let named = site("api.fetch").settings();
    assert_eq!((named.retry, named.isolate, named.fallback), (Some(Some(4)), false, true));
}

#[test]
fn a_site_knows_its_place() {
    let place = site("accepts_settings::inner::type");
    assert!(place.file().ends_with("accepts_settings.rs"));
    let line = include_str!("accepts_settings.rs").lines().position(|line| line.contains("async fn r#type")).unwrap();
    assert_eq!(place.line() as usize, line + 1);
}

#[tokio::test]
async fn on_timeout_and_fallback_go_together() {
    assert_eq!(both(false).await, Ok(1));
    assert_eq!(both(true).await, Ok(0));
}
