//! Functions of every kind, that do something random.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use backstop::{TimeoutError, timeout_async};
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::books::recorded;

/// How a call here fails.
#[derive(Debug)]
pub enum Failure {
    Timeout(TimeoutError),
    Own,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Error for Failure {}

impl From<TimeoutError> for Failure {
    fn from(error: TimeoutError) -> Self {
        Failure::Timeout(error)
    }
}

/// What every function here returns.
pub type Answer = Result<(), Failure>;

/// A random time about as long as the limits here.
pub fn a_while() -> Duration {
    Duration::from_micros(fastrand::u64(0..8_000))
}

/// A random end.
fn end() -> Answer {
    match fastrand::u32(0..100) {
        0..60 => Ok(()),
        60..95 => Err(Failure::Own),
        // As `panic!` does, but without a word.
        _ => std::panic::resume_unwind(Box::new("on purpose")),
    }
}

#[timeout_async(millis = 5, name = "soak.ready")]
async fn ready() -> Answer {
    end()
}

#[timeout_async(millis = 5, name = "soak.waits")]
async fn waits() -> Answer {
    sleep(a_while()).await;
    end()
}

#[timeout_async(secs = 60, idle_millis = 5, name = "soak.beats")]
async fn beats() -> Answer {
    for beat in 0..fastrand::u32(0..5) {
        let _hold = fastrand::bool().then(|| backstop::hold("a while", Duration::from_millis(2)));
        sleep(a_while()).await;
        backstop::beat_with(beat);
    }
    end()
}

#[timeout_async(millis = 3, name = "soak.tidies")]
async fn tidies() -> Answer {
    tokio::select! {
        () = sleep(a_while()) => {}
        () = backstop::cancelled() => sleep(a_while()).await,
    }
    end()
}

#[timeout_async(millis = 3, retry = 2, name = "soak.tries_again")]
async fn tries_again() -> Answer {
    sleep(a_while() / 2).await;
    end()
}

#[timeout_async(millis = 4, isolate, name = "soak.isolated")]
async fn isolated() -> Answer {
    sleep(a_while()).await;
    if fastrand::u32(0..20) == 0 {
        std::thread::sleep(a_while());
    }
    end()
}

#[timeout_async(millis = 4, name = "soak.blocks")]
async fn blocks() -> Answer {
    sleep(a_while() / 4).await;
    std::thread::sleep(a_while() / 4);
    end()
}

#[timeout_async(millis = 4, name = "soak.let_in")]
async fn let_in() -> Answer {
    sleep(a_while() / 4).await;
    end()
}

#[timeout_async(millis = 8, name = "soak.outer")]
async fn outer() -> Answer {
    let inside = recorded("soak.waits", waits());
    let carried = tokio::spawn(backstop::carry(recorded("soak.beats", beats())));
    let blocking = fastrand::u32(0..10) == 0;
    let thread = blocking.then(|| {
        let handle = Handle::current();
        tokio::task::spawn_blocking(backstop::carry_blocking(move || handle.block_on(recorded("soak.waits", waits())).is_ok()))
    });
    inside.await.map_err(|_| Failure::Own)?;
    if fastrand::bool() {
        carried.abort();
    }
    carried.await.map_err(|_| Failure::Own)?.map_err(|_| Failure::Own)?;
    if let Some(thread) = thread {
        thread.await.map_err(|_| Failure::Own)?;
    }
    end()
}

/// One random call of a random function.
pub async fn one() -> Answer {
    match fastrand::u32(0..100) {
        0..25 => recorded("soak.ready", ready()).await,
        25..45 => recorded("soak.waits", waits()).await,
        45..55 => recorded("soak.beats", beats()).await,
        55..65 => recorded("soak.tidies", tidies()).await,
        65..75 => recorded("soak.tries_again", tries_again()).await,
        75..82 => recorded("soak.isolated", isolated()).await,
        82..84 => recorded("soak.blocks", blocks()).await,
        84..92 => recorded("soak.let_in", let_in()).await,
        _ => recorded("soak.outer", outer()).await,
    }
}
