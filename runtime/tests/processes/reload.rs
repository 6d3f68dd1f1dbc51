//! A policy file that changes while calls run. The file is looked at every half second, so these take real seconds.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use backstop::{Outcome, TimeoutError, timeout_async};
use futures::FutureExt;
use tokio::sync::Semaphore;

use crate::child::alone;
use crate::common::{ended, wait_for};

#[timeout_async(name = "reload.waits")]
async fn waits(until: tokio::sync::oneshot::Receiver<()>) -> io::Result<Duration> {
    let limit = backstop::remaining().unwrap_or_default();
    until.await.map_err(io::Error::other)?;
    Ok(limit)
}

fn write(file: &PathBuf, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, file).unwrap();
}

/// Policies that a test changes, in a process of its own.
struct Policies(PathBuf);

impl Policies {
    fn new(text: &str) -> (Self, backstop::Backstop) {
        let file = std::env::temp_dir().join(format!("backstop-reload-{}.toml", std::process::id()));
        write(&file, text);
        let backstop = backstop::Builder::new().policies(&file).install().unwrap();
        (Self(file), backstop)
    }

    /// Waits until they are in force; they must say something else about this function.
    fn change(&self, function: &str, text: &str) {
        let in_force = || backstop::explain(function).unwrap().to_string();
        let before = in_force();
        write(&self.0, text);
        wait_for("a reload", || in_force() != before);
    }
}

impl Drop for Policies {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn on_tokio(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

#[timeout_async(name = "reload.moves")]
async fn moves() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(name = "reload.moves_with_layers", grace_secs = 0.001)]
async fn moves_with_layers() -> io::Result<()> {
    std::future::pending().await
}

#[test]
fn a_limit_is_said_to_be_set_on_the_line_where_it_stands_now() {
    let body = || {
        let below = |comments: usize| format!("{}[functions.\"reload.moves*\"]\ntimeout = \"10ms\"\n", "# a comment\n".repeat(comments));
        let (policies, _backstop) = Policies::new(&below(0));
        on_tokio(async {
            for comments in [0, 1, 5, 2] {
                if comments > 0 {
                    policies.change("reload.moves", &below(comments));
                }
                let plain = moves().await.unwrap_err();
                let grace = moves_with_layers().await.unwrap_err();
                for error in [plain, grace] {
                    let set_by = error.get_ref().unwrap().downcast_ref::<TimeoutError>().unwrap().set_by().to_string();
                    assert!(set_by.ends_with(&format!(".toml:{}", comments + 2)), "{set_by} with {comments} lines above");
                }
            }
        });
    };
    alone(body);
}

#[timeout_async(name = "reload.breaks")]
async fn breaks(fail: bool) -> io::Result<()> {
    if fail { Err(io::Error::other("no quote")) } else { Ok(()) }
}

#[test]
fn a_breaker_keeps_its_state_over_a_reload_until_one_takes_it_away() {
    let body = || {
        let breaker = |failures: u32, timeout: &str| {
            format!(
                "[functions.\"reload.breaks\"]\ntimeout = \"{timeout}\"\nbreaker = {{ failures = {failures}, window = \"10m\", open = \"10m\" }}\n"
            )
        };
        let (policies, _backstop) = Policies::new(&breaker(3, "10s"));
        let phases = || {
            let events = backstop::dump().events.into_iter().filter(|event| event.what == "breaker_changed");
            events.map(|event| event.detail).collect::<Vec<_>>()
        };
        on_tokio(async {
            assert!(breaks(true).await.is_err());
            assert!(breaks(true).await.is_err());
            policies.change("reload.breaks", &breaker(3, "20s"));
            assert_eq!(phases(), [""; 0]);
            assert!(breaks(true).await.is_err(), "the third");
            assert_eq!(phases(), ["open"], "failures from before the reload count");
            policies.change("reload.breaks", &breaker(4, "30s"));
            assert!(breaks(false).await.unwrap_err().to_string().contains("breaker"));
            policies.change("reload.breaks", "[functions.\"reload.breaks\"]\ntimeout = \"10s\"\n");
            wait_for("the end of what nobody asks any more", || phases() == ["open", "closed"]);
            breaks(false).await.unwrap();
            policies.change("reload.breaks", &breaker(3, "10s"));
            breaks(false).await.unwrap();
        });
    };
    alone(body);
}

/// How many bodies run, and how many ran at the same time at most; each stays until it gets a permit.
struct Inside {
    now: AtomicU32,
    most: AtomicU32,
    leave: Semaphore,
}

#[timeout_async(name = "reload.bounded", retry)]
async fn bounded(inside: Arc<Inside>) -> io::Result<()> {
    let now = inside.now.fetch_add(1, SeqCst) + 1;
    inside.most.fetch_max(now, SeqCst);
    inside.leave.acquire().await.map_err(io::Error::other)?.forget();
    inside.now.fetch_sub(1, SeqCst);
    Err(io::Error::other("once more"))
}

#[test]
fn a_bulkhead_that_changes_its_size_never_holds_more_than_the_larger() {
    let body = || {
        let size = |size: u32| {
            format!(
                "[functions.\"reload.bounded\"]\ntimeout = \"10m\"\nconcurrency = {size}\n\
                 retry = {{ attempts = 30, initial = \"1ms\", max = \"1ms\", on = [\"error\"] }}\n"
            )
        };
        let (policies, _backstop) = Policies::new(&size(2));
        let inside = Arc::new(Inside { now: AtomicU32::new(0), most: AtomicU32::new(0), leave: Semaphore::new(0) });
        let in_there = |count: u32| wait_for("so many inside", || inside.now.load(SeqCst) == count);
        on_tokio(async {
            let old: Vec<_> = (0..5).map(|_| tokio::spawn(bounded(inside.clone()))).collect();
            in_there(2);
            policies.change("reload.bounded", &size(4));
            let new: Vec<_> = (0..5).map(|_| tokio::spawn(bounded(inside.clone()))).collect();
            in_there(4);
            // Attempts of old and of new calls take turns now.
            for _ in 0..100 {
                inside.leave.add_permits(1);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            in_there(4);
            assert_eq!(inside.most.load(SeqCst), 4);
            policies.change("reload.bounded", &size(1));
            // Whoever comes now finds a smaller room, though nobody has left.
            assert!(bounded(inside.clone()).now_or_never().is_none());
            inside.leave.add_permits(3);
            in_there(1);
            inside.most.store(0, SeqCst);
            for _ in 0..20 {
                inside.leave.add_permits(1);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            in_there(1);
            assert!(inside.most.load(SeqCst) <= 1, "{} at once", inside.most.load(SeqCst));
            old.into_iter().chain(new).for_each(|call| call.abort());
        });
    };
    alone(body);
}

#[timeout_async(name = "reload.paced", retry)]
async fn paced() -> io::Result<()> {
    Ok(())
}

#[test]
fn a_rate_that_a_reload_relaxes_lets_calls_in_that_began_before_it() {
    let body = || {
        let rate = |permits: u32, per: &str| {
            format!(
                "[functions.\"reload.paced\"]\ntimeout = \"10m\"\nrate_limit = {{ permits = {permits}, per = \"{per}\" }}\n\
                 retry = {{ attempts = 100000, initial = \"50ms\", max = \"50ms\", on = [\"rejected\"] }}\n"
            )
        };
        let (policies, _backstop) = Policies::new(&rate(1, "1h"));
        on_tokio(async {
            paced().await.unwrap();
            let waits = tokio::spawn(paced());
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(!waits.is_finished());
            policies.change("reload.paced", &rate(10, "1s"));
            tokio::time::timeout(Duration::from_secs(60), waits).await.expect("the hour is forgiven").unwrap().unwrap();
            paced().await.unwrap();
        });
        assert_eq!(ended("reload.paced", Outcome::Ok), 3);
    };
    alone(body);
}

fn limit() -> String {
    backstop::explain("reload.waits").unwrap().setting("timeout").unwrap().value().to_owned()
}

fn in_force(expected: &str) {
    wait_for(expected, || limit() == expected);
}

/// In a process of its own: what other tests are told of would push the refusal out of the recorder.
#[test]
fn running_calls_keep_their_limits_and_a_broken_file_the_last_good_ones() {
    let body = || {
        on_tokio(async {
            let file = std::env::temp_dir().join(format!("backstop-reload-{}.toml", std::process::id()));
            write(&file, "[functions.\"reload.waits\"]\ntimeout = \"1m\"\n");
            let _backstop = backstop::Builder::new().policies(&file).install().unwrap();
            assert_eq!(limit(), "1m");

            let (end, until) = tokio::sync::oneshot::channel();
            let running = tokio::spawn(waits(until));
            tokio::task::yield_now().await;
            write(&file, "[functions.\"reload.waits\"]\ntimeout = \"1ms\"\n");
            in_force("1ms");
            let (_kept, never) = tokio::sync::oneshot::channel();
            waits(never).await.unwrap_err();

            write(&file, "[functions.\"reload.waits\"]\ntimeout = \"0s\"\n");
            wait_for("a refusal", || backstop::dump().events.iter().any(|event| event.what == "policy_refused"));
            assert_eq!(limit(), "1ms");
            end.send(()).unwrap();
            assert!(running.await.unwrap().unwrap() > Duration::from_secs(50), "the call that ran kept its minute");

            write(&file, "[functions.\"reload.waits\"]\ntimeout = \"3m\"\n");
            in_force("3m");
            let _ = std::fs::remove_file(&file);
        });
    };
    alone(body);
}
