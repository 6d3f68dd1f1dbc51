//! What can be done to a call.

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use crate::clock::Tick;

/// What is done to a call, in place of its body or before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The body starts later; the thread is free meanwhile.
    Delay(Duration),
    /// The call never ends by itself.
    Stall,
    /// The thread is blocked for this long, then the body starts.
    Block(Duration),
    /// The call panics with this message.
    Panic(String),
    /// The call fails: with a [`TimeoutError`](crate::TimeoutError) of kind `Injected`, whose source is an [`InjectedError`] with this message.
    Error(String),
    /// The device fails with this text, as libtorch would word it; for functions with `#[safe_mps_op]`.
    Device(String),
}

/// The text of an MPS device that has no memory left.
const OUT_OF_MEMORY: &str = "MPS backend out of memory (MPS allocated: 9.00 GB, other allocations: 1.00 GB, max allowed: 9.07 GB). \
     Tried to allocate 256.00 MB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit for memory allocations \
     (may cause system failure).";

impl Fault {
    /// The fault of a policy file's or the environment's name for it; `None` for a name that is no fault.
    pub(crate) fn of(name: &str, duration: Duration, message: Option<String>) -> Option<Self> {
        Some(match name {
            "delay" => Self::Delay(duration),
            "stall" => Self::Stall,
            "block" => Self::Block(duration),
            "panic" => Self::Panic(message.unwrap_or_else(|| "injected panic".to_owned())),
            "error" => Self::Error(message.unwrap_or_else(|| "injected error".to_owned())),
            "device" => Self::Device(message.unwrap_or_else(|| OUT_OF_MEMORY.to_owned())),
            _ => return None,
        })
    }

    /// Its name in policies and events.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delay(_) => "delay",
            Self::Stall => "stall",
            Self::Block(_) => "block",
            Self::Panic(_) => "panic",
            Self::Error(_) => "error",
            Self::Device(_) => "device",
        }
    }

    /// Does it to an async call. `Ok` means that the body is to run now.
    ///
    /// # Errors
    /// The error that the call is to return instead.
    ///
    /// # Cancellation
    /// A delay or a stall ends at once when the future is dropped; a block does not, for that is what it is for.
    ///
    /// # Panics
    /// [`Fault::Panic`] does, and [`Fault::Device`], in the way in which tch's plain methods do.
    pub(crate) async fn run<S: Future<Output = ()>>(self, now: Tick, sleep: impl FnOnce(Tick) -> S) -> Result<(), InjectedError> {
        match self {
            Self::Delay(duration) => sleep(now.after(duration)).await,
            Self::Stall => pending().await,
            other => return other.run_blocking(),
        }
        Ok(())
    }

    /// Does it to a call that is not async: a delay blocks the thread, and so does a stall, for ever.
    ///
    /// # Errors
    /// The error that the call is to return instead.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub(crate) fn run_blocking(self) -> Result<(), InjectedError> {
        match self {
            Self::Delay(duration) | Self::Block(duration) => std::thread::sleep(duration),
            Self::Stall => loop {
                std::thread::park();
            },
            Self::Panic(message) => panic!("{message}"),
            Self::Error(message) => return Err(InjectedError(message)),
            Self::Device(text) => panic!("called `Result::unwrap()` on an `Err` value: Torch({text:?})"),
        }
        Ok(())
    }
}

/// The error of a call that failed by fault injection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectedError(String);

impl fmt::Display for InjectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InjectedError {}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::panic::catch_unwind;
    use std::time::Instant;

    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    const NOW: Tick = Tick::from_nanos(1_000);

    #[test]
    fn a_delay_sleeps_until_its_end_and_lets_the_body_run() {
        let mut until = None;
        let run = Fault::Delay(Duration::from_secs(2)).run(NOW, |deadline| {
            until = Some(deadline);
            ready(())
        });
        assert_eq!(block_on(run), Ok(()));
        assert_eq!(until, Some(NOW.after(Duration::from_secs(2))));
    }

    #[test]
    fn a_stall_never_ends() {
        assert_eq!(Fault::Stall.run(NOW, |_| ready(())).now_or_never(), None);
    }

    #[test]
    fn a_block_holds_its_thread_within_one_poll() {
        let began = Instant::now();
        let polled = Fault::Block(Duration::from_millis(50)).run(NOW, |_| ready(())).now_or_never();
        assert_eq!(polled, Some(Ok(())));
        assert!(began.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn an_error_carries_its_message() {
        let error = Fault::of("error", Duration::ZERO, Some("no such symbol".to_owned())).unwrap();
        assert_eq!(error.run_blocking().unwrap_err().to_string(), "no such symbol");
    }

    #[test]
    fn a_device_fault_panics_like_tch_with_the_text_of_libtorch() {
        let fault = Fault::of("device", Duration::ZERO, None).unwrap();
        let panic = catch_unwind(|| fault.run_blocking()).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("Torch(\"MPS backend out of memory"), "{text}");
    }
}
