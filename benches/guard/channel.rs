//! Two tasks that send a value back and forth, and limit every wait for it.

use std::hint::black_box;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::rounds::{Each, rounds};
use crate::table::Row;
use crate::variants::Variant;
use crate::{clock, each};

const TRIPS: u32 = 20_000;

/// On one thread, and on two workers; two guarded calls a round trip.
pub fn ping_pong(count: usize) -> Vec<Row> {
    let one: Each<fn() -> f64> = each!(on_one_thread);
    let two: Each<fn() -> f64> = each!(on_two_workers);
    vec![
        Row::overhead("ping-pong, one thread (CPU)", &rounds(count, one), Some(0.45)),
        Row::overhead("ping-pong, two workers (CPU)", &rounds(count, two), Some(0.35)),
    ]
}

fn on_one_thread<V: Variant>() -> f64 {
    trips::<V>(&Builder::new_current_thread().enable_all().build().expect("a runtime"))
}

fn on_two_workers<V: Variant>() -> f64 {
    trips::<V>(&Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime"))
}

/// Nanoseconds of processor time, of all threads, for a round trip.
fn trips<V: Variant>(runtime: &Runtime) -> f64 {
    let ((there, receives), (back, answers)) = (channel(1), channel(1));
    let before = clock::process();
    let other = runtime.spawn(echo::<V>(receives, back));
    let own = runtime.spawn(serve::<V>(there, answers));
    runtime.block_on(async {
        own.await.expect("no panic");
        other.await.expect("no panic");
    });
    (clock::process() - before) / f64::from(TRIPS)
}

async fn serve<V: Variant>(there: Sender<u32>, mut answers: Receiver<u32>) {
    for ball in 0..TRIPS {
        there.send(ball).await.expect("the other side listens");
        black_box(V::receive(&mut answers).await.expect("the other side answers"));
    }
}

async fn echo<V: Variant>(mut receives: Receiver<u32>, back: Sender<u32>) {
    while let Ok(ball) = V::receive(&mut receives).await {
        // Who has its last answer does not listen any more.
        let _ = back.send(ball).await;
    }
}
