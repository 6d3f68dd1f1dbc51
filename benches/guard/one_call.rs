//! One call after the other, on one thread of a tokio runtime.

use std::hint::black_box;

use crate::rounds::{Each, Figures, rounds};
use crate::table::Row;
use crate::variants::Variant;
use crate::{clock, each};

const CALLS: u32 = 10_000;

/// Ready at the first poll.
pub fn ready(count: usize) -> Vec<Row> {
    vec![Row::overhead("ready at the first poll", &flat(count, 0), Some(0.10))]
}

/// Pending once.
pub fn pending_once(count: usize) -> Vec<Row> {
    vec![Row::overhead("pending once", &flat(count, 1), Some(0.40))]
}

/// Pending ten times.
pub fn pending_ten(count: usize) -> Vec<Row> {
    vec![Row::overhead("pending ten times", &flat(count, 10), Some(0.25))]
}

/// Five limits, one in the other.
pub fn nested(count: usize) -> Vec<Row> {
    let measures: Each<fn(u32) -> f64> = each!(five_deep);
    let of = |yields| rounds(count, with(measures, yields));
    vec![Row::overhead("nested five deep, ready", &of(0), Some(0.14)), Row::overhead("nested five deep, pending once", &of(1), Some(0.40))]
}

fn flat(count: usize, yields: u32) -> Vec<Figures> {
    let measures: Each<fn(u32) -> f64> = each!(alone);
    rounds(count, with(measures, yields))
}

fn with(measures: Each<fn(u32) -> f64>, yields: u32) -> Each<impl Fn() -> f64> {
    measures.map(|measure| measure.map(|measure| move || measure(yields)))
}

fn alone<V: Variant>(yields: u32) -> f64 {
    calls::<V>(yields, CALLS)
}

fn five_deep<V: Variant>(yields: u32) -> f64 {
    run(async {
        let before = clock::thread();
        for _ in 0..CALLS {
            black_box(V::nested(black_box(yields)).await.ok());
        }
        (clock::thread() - before) / f64::from(CALLS)
    })
}

/// The nanoseconds of one call; also what `--counts` counts.
#[inline(never)]
pub fn calls<V: Variant>(yields: u32, count: u32) -> f64 {
    run(async {
        let before = clock::thread();
        for _ in 0..count {
            black_box(V::answer(black_box(yields)).await.ok());
        }
        (clock::thread() - before) / f64::from(count)
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}
