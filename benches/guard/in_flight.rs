//! A million calls that wait, made and dropped by two threads. Each variant in a process of its own: memory that one has touched would
//! look free to the next.

use std::future::Future;
use std::pin::Pin;
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::rounds::{Each, Figures, column, names};
use crate::table::Row;
use crate::variants::Variant;
use crate::{Done, child, clock, each};

/// How many wait at once.
pub const CALLS: usize = 1_000_000;
const THREADS: usize = 2;
/// How long threads may take to begin.
const SETTLED: Duration = Duration::from_millis(200);

/// Bytes, creation and end of one of a million.
pub fn in_flight(count: usize) -> Vec<Row> {
    let mut rounds: [Vec<Figures>; 3] = [const { Vec::new() }; 3];
    for _ in 0..count.div_ceil(3) {
        let round = names().map(|name| child::figures(&["--one-million", name]).inspect_err(|error| eprintln!("{error}")).ok());
        for (place, rounds) in rounds.iter_mut().enumerate() {
            rounds.push(round.each_ref().map(|figures| figures.as_ref()?.get(place).copied()));
        }
    }
    let [bytes, create, end] = rounds;
    vec![
        Row::absolute("1,000,000 in flight, one call", &bytes, "B", Some(105.0)),
        Row::ratio("1,000,000 in flight, create one", &create, "ns", Some(0.65)),
        Row::ratio("1,000,000 in flight, drop one", &end, "ns", Some(0.90)),
    ]
}

/// In the process of its own: prints bytes and nanoseconds for one call.
pub fn run(variant: &str) -> Done {
    let measures: Each<fn() -> [f64; 3]> = each!(million);
    let [bytes, create, end] = measures[column(variant)?].ok_or("no such variant")?();
    println!("{bytes} {create} {end}");
    Ok(())
}

fn million<V: Variant>() -> [f64; 3] {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    // Whatever is made once is there before: by the first calls, and by threads that they start.
    drop(calls::<V>(runtime.handle(), 1_000));
    thread::sleep(SETTLED);
    let before = clock::resident().unwrap_or(f64::NAN);
    let (made, looked) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    thread::scope(|scope| {
        let begin = || {
            let begun = clock::thread();
            let calls = calls::<V>(runtime.handle(), CALLS / THREADS);
            let create = clock::thread() - begun;
            made.wait();
            looked.wait();
            let begun = clock::thread();
            drop(calls);
            (create, clock::thread() - begun)
        };
        let threads = [scope.spawn(begin), scope.spawn(begin)];
        made.wait();
        let bytes = clock::resident().unwrap_or(f64::NAN) - before;
        looked.wait();
        let times = threads.map(|thread| thread.join().expect("no panic"));
        let mean = |time: fn(&(f64, f64)) -> f64| times.iter().map(time).sum::<f64>() / CALLS as f64;
        [bytes / CALLS as f64, mean(|(create, _)| *create), mean(|(_, end)| *end)]
    })
}

/// So many calls, each polled once.
pub fn calls<V: Variant>(runtime: &Handle, count: usize) -> Vec<Pin<Box<impl Future + use<V>>>> {
    let _entered = runtime.enter();
    let mut calls = Vec::with_capacity(count);
    for _ in 0..count {
        let mut call = Box::pin(V::never());
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        calls.push(call);
    }
    calls
}
