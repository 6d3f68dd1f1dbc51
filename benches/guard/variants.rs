//! The same few functions, written as a user of each library would write them.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use backstop::timeout_async;
use tokio::sync::mpsc::Receiver;

use crate::by_hand;

/// What every function here returns.
pub type Answer = io::Result<u32>;

/// No call that ends by itself comes near it.
const LIMIT: Duration = Duration::from_secs(30);
/// Outlasts the making of a million calls.
const LONG: Duration = Duration::from_secs(600);
/// The limit of [`Variant::soon`].
pub const SOON: Duration = Duration::from_millis(20);

/// The limit of the first batch of [`Variant::until`].
pub const WINDOW: Duration = Duration::from_millis(1000);
/// How much later the next batch begins.
pub const BATCH: Duration = Duration::from_millis(8);
/// How many batches there are.
pub const BATCHES: usize = 25;

/// One way to limit a call.
pub trait Variant: 'static {
    /// The column of the table.
    const NAME: &'static str;

    /// Pending so many times, then ready.
    fn answer(yields: u32) -> impl Future<Output = Answer> + Send;
    /// The same, limited five times, one in the other.
    fn nested(yields: u32) -> impl Future<Output = Answer> + Send;
    /// The next value of a channel.
    fn receive(channel: &mut Receiver<u32>) -> impl Future<Output = Answer> + Send;
    /// Never ready, and not limited while anyone looks.
    fn never() -> impl Future<Output = Answer> + Send;
    /// Never ready, limited by [`SOON`].
    fn soon() -> impl Future<Output = Answer> + Send;
    /// Never ready, limited by an instant; begun in this of the [`BATCHES`].
    fn until(deadline: Instant, batch: usize) -> Boxed;
}

/// The future of [`Variant::until`].
pub type Boxed = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Pending so many times, then ready.
struct Yields(u32);

impl Future for Yields {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        if self.0 == 0 {
            return Poll::Ready(Ok(7));
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

async fn received(channel: &mut Receiver<u32>) -> Answer {
    channel.recv().await.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

macro_rules! nothing {
    ($limit:expr, $future:expr) => {{
        let _ = $limit;
        $future.await
    }};
}

macro_rules! tokio_timeout {
    ($limit:expr, $future:expr) => {
        tokio::time::timeout($limit, $future).await?
    };
}

macro_rules! pingora_fast {
    ($limit:expr, $future:expr) => {
        pingora_timeout::timeout($limit, $future).await.map_err(io::Error::other)?
    };
}

macro_rules! pingora_tokio {
    ($limit:expr, $future:expr) => {
        pingora_timeout::tokio_timeout($limit, $future).await.map_err(io::Error::other)?
    };
}

macro_rules! tower_layer {
    ($limit:expr, $future:expr) => {{
        let mut service = tower::timeout::Timeout::new(tower::service_fn(|future| future), $limit);
        tower::Service::call(&mut service, $future).await.map_err(io::Error::other)
    }};
}

macro_rules! by_hand {
    ($limit:expr, $future:expr) => {{
        let running = by_hand::Running::enter("answer");
        running.end(tokio::time::timeout($limit, $future).await)
    }};
}

/// A variant whose functions differ in how they limit, and in an attribute, but in nothing else.
macro_rules! variant {
    ($variant:ident, $module:ident, $name:literal, $limited:ident $(, #[$attribute:meta])?) => {
        mod $module {
            use super::*;

            $(#[$attribute])?
            pub async fn answer(yields: u32) -> Answer {
                $limited!(LIMIT, Yields(yields))
            }
            $(#[$attribute])?
            pub async fn nested(yields: u32) -> Answer {
                $limited!(LIMIT, second(yields))
            }
            $(#[$attribute])?
            async fn second(yields: u32) -> Answer {
                $limited!(LIMIT, third(yields))
            }
            $(#[$attribute])?
            async fn third(yields: u32) -> Answer {
                $limited!(LIMIT, fourth(yields))
            }
            $(#[$attribute])?
            async fn fourth(yields: u32) -> Answer {
                $limited!(LIMIT, answer(yields))
            }
            $(#[$attribute])?
            pub async fn receive(channel: &mut Receiver<u32>) -> Answer {
                $limited!(LIMIT, received(channel))
            }
            $(#[$attribute])?
            pub async fn never() -> Answer {
                $limited!(LONG, pending::<Answer>())
            }
            $(#[$attribute])?
            pub async fn soon() -> Answer {
                $limited!(SOON, pending::<Answer>())
            }
            pub fn until(deadline: Instant, _batch: usize) -> Boxed {
                Box::pin(async move { $limited!(left(deadline), pending::<Answer>()) })
            }
        }
        implement!($variant, $module, $name);
    };
}

macro_rules! implement {
    ($variant:ident, $module:ident, $name:literal) => {
        pub struct $variant;

        impl Variant for $variant {
            const NAME: &'static str = $name;

            fn answer(yields: u32) -> impl Future<Output = Answer> + Send {
                $module::answer(yields)
            }
            fn nested(yields: u32) -> impl Future<Output = Answer> + Send {
                $module::nested(yields)
            }
            fn receive(channel: &mut Receiver<u32>) -> impl Future<Output = Answer> + Send {
                $module::receive(channel)
            }
            fn never() -> impl Future<Output = Answer> + Send {
                $module::never()
            }
            fn soon() -> impl Future<Output = Answer> + Send {
                $module::soon()
            }
            fn until(deadline: Instant, batch: usize) -> Boxed {
                $module::until(deadline, batch)
            }
        }
    };
}

variant!(Bare, bare, "bare", nothing);
variant!(Tokio, tokio_time, "tokio", tokio_timeout);
variant!(PingoraFast, pingora_wheel, "pingora fast", pingora_fast);
variant!(PingoraTokio, pingora_lazy, "pingora tokio", pingora_tokio);
variant!(Tower, tower_timeout, "tower", tower_layer);
variant!(Tracing, tracing_off, "tracing", nothing, #[tracing::instrument(skip_all)]);
variant!(ByHand, hand_written, "by hand", by_hand);
implement!(Guarded, guarded, "guarded");

mod guarded {
    use super::*;

    #[timeout_async(secs = 30, name = "bench.answer")]
    pub async fn answer(yields: u32) -> Answer {
        Yields(yields).await
    }

    #[timeout_async(secs = 30, name = "bench.nested")]
    pub async fn nested(yields: u32) -> Answer {
        second(yields).await
    }

    #[timeout_async(secs = 30, name = "bench.second")]
    async fn second(yields: u32) -> Answer {
        third(yields).await
    }

    #[timeout_async(secs = 30, name = "bench.third")]
    async fn third(yields: u32) -> Answer {
        fourth(yields).await
    }

    #[timeout_async(secs = 30, name = "bench.fourth")]
    async fn fourth(yields: u32) -> Answer {
        answer(yields).await
    }

    #[timeout_async(secs = 30, name = "bench.receive")]
    pub async fn receive(channel: &mut Receiver<u32>) -> Answer {
        received(channel).await
    }

    #[timeout_async(secs = 600, name = "bench.never")]
    pub async fn never() -> Answer {
        pending().await
    }

    #[timeout_async(millis = 20, name = "bench.soon")]
    pub async fn soon() -> Answer {
        pending().await
    }

    /// The limit of an attribute is no argument: each batch has a function of its own, and they all end at the same instant.
    pub fn until(_deadline: Instant, batch: usize) -> Boxed {
        FUNCTIONS[batch]()
    }

    const fn left(batch: u64) -> u64 {
        WINDOW.as_millis() as u64 - batch * BATCH.as_millis() as u64
    }

    macro_rules! batches {
        ($($module:ident $batch:literal)*) => {
            $(mod $module {
                #[backstop::timeout_async(millis = super::left($batch))]
                pub async fn until() -> super::Answer {
                    std::future::pending().await
                }
            })*
            const FUNCTIONS: [fn() -> Boxed; BATCHES] = [$(|| Box::pin($module::until())),*];
        };
    }

    batches! {
        b0 0 b1 1 b2 2 b3 3 b4 4 b5 5 b6 6 b7 7 b8 8 b9 9 b10 10 b11 11 b12 12 b13 13 b14 14 b15 15 b16 16 b17 17 b18 18
        b19 19 b20 20 b21 21 b22 22 b23 23 b24 24
    }
}
