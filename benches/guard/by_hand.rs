//! What a careful user writes by hand for the same features: tokio's timeout, a map of running calls, and the metrics macros.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use metrics::{counter, gauge, histogram};
use tokio::time::error::Elapsed;

use crate::variants::Answer;

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<u64, (&'static str, Instant)>>;

static RUNNING: LazyLock<[Shard; SHARDS]> = LazyLock::new(|| std::array::from_fn(|_| Shard::default()));
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A call in the map.
pub struct Running {
    number: u64,
    function: &'static str,
    begun: Instant,
}

impl Running {
    /// Enters a call.
    pub fn enter(function: &'static str) -> Self {
        let (number, begun) = (NEXT.fetch_add(1, Relaxed), Instant::now());
        shard(number).lock().unwrap_or_else(PoisonError::into_inner).insert(number, (function, begun));
        gauge!("by_hand_in_flight", "function" => function).increment(1.0);
        Self { number, function, begun }
    }

    /// Counts how the call ended.
    pub fn end(self, result: Result<Answer, Elapsed>) -> Answer {
        let outcome = match &result {
            Ok(Ok(_)) => "ok",
            Ok(Err(_)) => "error",
            Err(_) => "timeout",
        };
        counter!("by_hand_calls_total", "function" => self.function, "outcome" => outcome).increment(1);
        histogram!("by_hand_call_duration_seconds", "function" => self.function).record(self.begun.elapsed());
        result?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        shard(self.number).lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        gauge!("by_hand_in_flight", "function" => self.function).decrement(1.0);
    }
}

fn shard(number: u64) -> &'static Shard {
    &RUNNING[(number % SHARDS as u64) as usize]
}
