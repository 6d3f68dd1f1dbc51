//! A thousand guarded functions, of which fifty stall in every way at once: the others keep their latency, nothing leaks, and all fifty are
//! reported.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]

mod common;

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use backstop::timeout_async;
use common::log::Reports;
use tokio::task::spawn_blocking;
use tracing::field::{Field, Visit};

type Call = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;
/// A function's name and a call of it.
type Function = (&'static str, fn() -> Call);

/// Long enough for any machine; nothing here waits that long.
const LONG: Duration = Duration::from_secs(120);

/// The names of functions of which a report was logged.
static REPORTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// Raised when those that block may stop.
static RELEASED: AtomicBool = AtomicBool::new(false);
/// Never released: whoever waits for it deadlocks.
static LOCK: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Name<'a>(&'a mut BTreeSet<String>);

impl Visit for Name<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Without a name it is about the process as a whole: a machine that is too slow.
        if field.name() == "function" && !value.is_empty() {
            self.0.insert(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// Whom the report is about.
fn note(report: &tracing::Event<'_>) {
    report.record(&mut Name(&mut REPORTED.lock().unwrap_or_else(PoisonError::into_inner)));
}

fn block() {
    while !RELEASED.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
}

async fn healthy() -> io::Result<()> {
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// One annotated function for each name, in a module of its own.
macro_rules! functions {
    ($module:ident, $attribute:meta, $body:expr, $($name:ident)*) => {
        mod $module {
            use super::*;

            $(
                #[$attribute]
                async fn $name() -> io::Result<()> {
                    $body.await
                }
            )*

            pub const ALL: &[Function] = &[$((concat!("thousand::", stringify!($module), "::", stringify!($name)), || Box::pin($name()))),*];
        }
    };
}

macro_rules! fifties {
    ($($module:ident)*) => {
        $(functions!(
            $module, timeout_async, healthy(),
            a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9
            d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 e0 e1 e2 e3 e4 e5 e6 e7 e8 e9
        );)*

        /// The 950 that are well.
        const HEALTHY: &[&[Function]] = &[$($module::ALL),*];
    };
}

fifties!(m00 m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 m11 m12 m13 m14 m15 m16 m17 m18);

functions!(waits, timeout_async(millis = 400), pending::<io::Result<()>>(), f0 f1 f2 f3 f4 f5 f6 f7 f8 f9);
functions!(is_silent, timeout_async(idle_millis = 400), pending::<io::Result<()>>(), f0 f1 f2 f3 f4 f5 f6 f7 f8 f9);
functions!(deadlocks, timeout_async(millis = 400), async { drop(LOCK.lock().await); Ok(()) }, f0 f1 f2 f3 f4 f5 f6);
functions!(spins, timeout_async(millis = 400), async { loop { tokio::task::yield_now().await } }, f0 f1 f2);
functions!(holds_a_worker, timeout_async(secs = 300), async { block(); Ok(()) }, f0 f1 f2 f3 f4);
functions!(holds_its_task, timeout_async(millis = 400, isolate), async { block(); Ok(()) }, f0 f1 f2 f3 f4);
functions!(
    holds_a_thread,
    timeout_async(millis = 400),
    async { spawn_blocking(backstop::carry_blocking(block)).await.map_err(io::Error::other) },
    f0 f1 f2 f3 f4 f5 f6 f7 f8 f9
);

fn stalling() -> Vec<Function> {
    let ways = [waits::ALL, is_silent::ALL, deadlocks::ALL, spins::ALL, holds_a_worker::ALL, holds_its_task::ALL, holds_a_thread::ALL];
    ways.concat()
}

/// Calls every healthy function once, all at the same time; how long they took, sorted.
async fn latencies() -> Vec<Duration> {
    let call = |(_, call): &Function| {
        let call = *call;
        tokio::spawn(async move {
            let before = Instant::now();
            call().await.unwrap();
            before.elapsed()
        })
    };
    let calls: Vec<_> = HEALTHY.concat().iter().map(call).collect();
    let mut latencies = Vec::with_capacity(calls.len());
    for call in calls {
        latencies.push(call.await.unwrap());
    }
    latencies.sort();
    latencies
}

/// The medians and the worst of several rounds.
async fn rounds(count: usize) -> (Duration, Duration) {
    let (mut medians, mut worst) = (Vec::new(), Duration::ZERO);
    for _ in 0..count {
        let latencies = latencies().await;
        medians.push(latencies[latencies.len() / 2]);
        worst = worst.max(latencies[latencies.len() - 1]);
    }
    medians.sort();
    (medians[count / 2], worst)
}

async fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < LONG, "waited two minutes for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn fifty_of_a_thousand_functions_stall_in_every_way_and_the_others_do_not_notice() {
    tracing::subscriber::set_global_default(Reports(note)).unwrap();
    let stalling = stalling();
    assert_eq!((stalling.len(), HEALTHY.concat().len()), (50, 950));
    // Ten workers are held for good; the others have what they had before.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(14).enable_all().build().unwrap();
    runtime.block_on(async {
        let _held = LOCK.lock().await;
        let (before, _) = rounds(5).await;

        let stalled: Vec<_> = stalling.iter().map(|(_, call)| tokio::spawn(call())).collect();
        let (during, worst) = rounds(5).await;
        let names: BTreeSet<String> = stalling.iter().map(|(name, _)| (*name).to_owned()).collect();
        let reported = || REPORTED.lock().unwrap().clone();
        wait_for("all fifty to be reported", || names.is_subset(&reported())).await;
        assert!(!RELEASED.load(Ordering::Relaxed), "they are reported while they last");
        assert_eq!(reported(), names, "and nobody else");
        assert!(during < 3 * before + Duration::from_millis(100), "{before:?} before, {during:?} during");
        assert!(worst < Duration::from_secs(10), "no call had to wait for one that stalls: {worst:?}");

        RELEASED.store(true, Ordering::Relaxed);
        for call in stalled {
            _ = call.await.unwrap();
        }
        wait_for("the last of them to end", || backstop::snapshot().calls.is_empty()).await;
        wait_for("their tasks to end", || tokio::runtime::Handle::current().metrics().num_alive_tasks() == 0).await;
    });
    for row in backstop::stats() {
        assert_eq!(row.in_flight, 0, "{row:?}");
    }
}
