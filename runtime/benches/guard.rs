//! What a guarded call costs, beside the bare call and `tokio::time::timeout` in the same run: `cargo xtask bench`.
//!
//! Each round measures every variant once, in turn; a figure is the median over the rounds. Only the ratios are worth quoting: the
//! absolute times are this machine's, now.

use std::future::Future;
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use backstop::timeout_async;

const ROUNDS: usize = 31;
const CALLS: u32 = 20_000;

/// Pending so many times, then ready.
struct Yields(u32);

impl Future for Yields {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        if self.0 == 0 {
            return Poll::Ready(7);
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

async fn bare(yields: u32) -> io::Result<u32> {
    Ok(Yields(yields).await)
}

async fn tokio_timeout(yields: u32) -> io::Result<u32> {
    Ok(tokio::time::timeout(Duration::from_secs(30), Yields(yields)).await?)
}

#[timeout_async(secs = 30)]
async fn guarded(yields: u32) -> io::Result<u32> {
    Ok(Yields(yields).await)
}

async fn measure<F: Future<Output = io::Result<u32>>>(call: impl Fn(u32) -> F, yields: u32) -> f64 {
    let begin = Instant::now();
    for _ in 0..CALLS {
        black_box(call(black_box(yields)).await.ok());
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn row(name: &str, yields: u32) {
    let (mut timeouts, mut guards) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let nothing = measure(bare, yields).await;
        timeouts.push(measure(tokio_timeout, yields).await - nothing);
        guards.push(measure(guarded, yields).await - nothing);
    }
    let ratio = median(guards.iter().zip(&timeouts).map(|(guard, timeout)| guard / timeout).collect());
    println!("{name:<22} {:>14.0} {:>14.0} {ratio:>10.2}", median(timeouts), median(guards));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!("overhead over the bare call, median of {ROUNDS} rounds of {CALLS} calls");
    println!("{:<22} {:>14} {:>14} {:>10}", "scenario", "tokio, ns", "guarded, ns", "ratio");
    runtime.block_on(async {
        row("ready at first poll", 0).await;
        row("pending once", 1).await;
        row("pending ten times", 10).await;
    });
}
