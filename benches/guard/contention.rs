//! Two threads, or two tasks on two workers, that make calls of the same function at the same time.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;

use tokio::runtime::{Builder, Runtime};

use crate::rounds::{Each, rounds};
use crate::table::Row;
use crate::variants::Variant;
use crate::{clock, each};

const CALLS: u32 = 50_000;
/// Pending once: each call arms its limit and takes it back.
const YIELDS: u32 = 1;

/// Threads that poll by themselves, and tasks.
pub fn contention(count: usize) -> Vec<Row> {
    let threads: Each<fn() -> f64> = each!(two_threads);
    let tasks: Each<fn() -> f64> = each!(two_tasks);
    vec![
        Row::overhead("two threads in contention (CPU)", &rounds(count, threads), Some(0.08)),
        Row::overhead("two tasks in contention (CPU)", &rounds(count, tasks), Some(0.08)),
    ]
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn two_threads<V: Variant>() -> f64 {
    let (runtime, start) = (runtime(), Barrier::new(2));
    let before = clock::process();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _entered = runtime.enter();
                start.wait();
                (0..CALLS).for_each(|_| drop(black_box(poll_until_ready(V::answer(black_box(YIELDS))))));
            });
        }
    });
    (clock::process() - before) / f64::from(2 * CALLS)
}

fn poll_until_ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn two_tasks<V: Variant>() -> f64 {
    let runtime = runtime();
    let before = clock::process();
    let tasks = [runtime.spawn(many::<V>()), runtime.spawn(many::<V>())];
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    (clock::process() - before) / f64::from(2 * CALLS)
}

async fn many<V: Variant>() {
    for _ in 0..CALLS {
        black_box(V::answer(black_box(YIELDS)).await.ok());
    }
}
