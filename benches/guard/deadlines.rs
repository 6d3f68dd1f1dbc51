//! Limits that pass: a hundred thousand at one instant, and one alone.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::rounds::{BARE, COLUMNS, Each, Figures, limited, median, quantile, rounds};
use crate::table::Row;
use crate::variants::{BATCH, BATCHES, Boxed, SOON, Variant, WINDOW};
use crate::{each, floor};

/// How many pass at one instant.
pub const CALLS: usize = 100_000;
/// How often a lone deadline is measured in each round.
const LONE: usize = 20;

/// Both families.
pub fn deadlines(count: usize) -> Vec<Row> {
    let mut all: Each<fn() -> f64> = limited(each!(at_once));
    all[BARE] = Some(woken_at_once);
    let alone: Each<fn() -> Vec<f64>> = limited(each!(lateness));
    // First, while nobody writes reports of a hundred thousand others.
    let alone = lone(count, alone);
    let all = rounds(count.div_ceil(3), all);
    let mut rows = vec![Row::ratio("100,000 deadlines at one instant", &all, "ms", Some(0.65))];
    rows.extend(alone);
    rows
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

static ENDED: AtomicUsize = AtomicUsize::new(0);
/// When the last one ended, in nanoseconds after the deadline.
static LAST: AtomicU64 = AtomicU64::new(0);

/// From the deadline until the last of all callers has its error, in milliseconds.
fn at_once<V: Variant>() -> f64 {
    until_the_last(V::until, || ())
}

/// The same where a thread wakes them, and nothing limits them.
fn woken_at_once() -> f64 {
    floor::reset();
    until_the_last(|_, _| Box::pin(floor::woken()), floor::wake)
}

/// `at_deadline` is done once all of them wait and the instant has come.
fn until_the_last(call: fn(Instant, usize) -> Boxed, at_deadline: impl FnOnce()) -> f64 {
    let runtime = runtime();
    ENDED.store(0, SeqCst);
    LAST.store(0, SeqCst);
    let begin = Instant::now() + Duration::from_millis(5);
    let deadline = begin + WINDOW;
    for batch in 0..BATCHES {
        sleep_until(begin + BATCH * batch as u32);
        for _ in 0..CALLS / BATCHES {
            runtime.spawn(one(call, deadline, batch));
        }
    }
    sleep_until(deadline);
    at_deadline();
    while ENDED.load(SeqCst) < CALLS {
        thread::sleep(Duration::from_millis(1));
    }
    LAST.load(SeqCst) as f64 / 1e6
}

async fn one(call: fn(Instant, usize) -> Boxed, deadline: Instant, batch: usize) {
    call(deadline, batch).await.expect_err("it never answers");
    let after = Instant::now().saturating_duration_since(deadline);
    LAST.fetch_max(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX), SeqCst);
    ENDED.fetch_add(1, SeqCst);
}

fn sleep_until(instant: Instant) {
    thread::sleep(instant.saturating_duration_since(Instant::now()));
}

/// The lateness of deadlines that pass one by one, in milliseconds.
fn lateness<V: Variant>() -> Vec<f64> {
    runtime().block_on(async {
        let mut late = Vec::with_capacity(LONE);
        for turn in 0..LONE {
            // No call begins at the same place in a timer's tick as the one before.
            thread::sleep(Duration::from_micros(turn as u64 * 370 % 4_000));
            let begun = Instant::now();
            V::soon().await.expect_err("it never answers");
            late.push((begun.elapsed().as_secs_f64() - SOON.as_secs_f64()) * 1e3);
        }
        late
    })
}

fn lone(count: usize, measures: Each<fn() -> Vec<f64>>) -> [Row; 2] {
    let mut all: [Vec<f64>; COLUMNS] = [const { Vec::new() }; COLUMNS];
    for _ in 0..count.div_ceil(3) {
        for (samples, measure) in all.iter_mut().zip(measures) {
            samples.extend(measure.map(|measure| measure()).unwrap_or_default());
        }
    }
    let p50: Figures = all.each_ref().map(|samples| median(samples.clone()));
    let p99: Figures = all.map(|samples| quantile(samples, 0.99));
    [
        Row::absolute("lateness of a lone deadline, p50", &[p50], "ms", Some(0.3)),
        Row::absolute("lateness of a lone deadline, p99", &[p99], "ms", Some(1.0)),
    ]
}
