//! What a guarded function returns, and how a timeout becomes one of those.

use std::error::Error;
use std::marker::PhantomData;

use super::TimeoutError;

/// How the guard reads and makes values of a function's return type `R`. Chosen by the expansion, see [`Returned`].
pub trait Returns<R>: Copy {
    /// What a fallback is given: the function's own error type, or a [`TimeoutError`] where it returns no `Result`.
    type Error;

    /// Whether the value is an `Err`.
    fn failed(self, returned: &R) -> bool;

    /// The value that says that the call timed out.
    fn timed_out(self, error: TimeoutError) -> R;

    /// The body's own error, to be the source of a timeout that came first; `None` where it cannot be one.
    fn into_source(self, returned: R) -> Option<Box<dyn Error + Send + Sync>>;

    /// The value itself, or the error for the fallback.
    fn into_result(self, returned: R) -> Result<R, Self::Error>;
}

/// The return type of an annotated function.
pub struct Returned<R>(PhantomData<fn() -> R>);

/// A function that returns no `Result`.
#[derive(Clone, Copy)]
pub struct Value;

impl<R> Returned<R> {
    /// Of a function.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}
