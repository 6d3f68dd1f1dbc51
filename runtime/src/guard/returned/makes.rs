//! The value that says that a call timed out.

use std::convert::Infallible;

use super::Lifts;
use crate::outcome::TimeoutError;

/// Makes values of type `R` from a timeout.
pub trait Makes<R>: Copy {
    /// The value that says that the call timed out.
    fn timed_out(self, error: TimeoutError) -> R;
}

/// `Err(error.into())`.
#[derive(Clone, Copy, Debug)]
pub struct ByFrom;

impl<T, E: From<TimeoutError>> Makes<Result<T, E>> for ByFrom {
    fn timed_out(self, error: TimeoutError) -> Result<T, E> {
        Err(error.into())
    }
}

/// The function of `on_timeout = path`.
#[derive(Debug)]
pub struct Calling<R>(fn(TimeoutError) -> R);

impl<R> Calling<R> {
    /// Of the path.
    #[must_use]
    pub const fn new(path: fn(TimeoutError) -> R) -> Self {
        Self(path)
    }
}

impl<R> Clone for Calling<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Calling<R> {}

impl<R> Makes<R> for Calling<R> {
    fn timed_out(self, error: TimeoutError) -> R {
        (self.0)(error)
    }
}

/// `on_timeout` under a fallback: what it makes counts as if the body had returned it.
#[derive(Clone, Copy, Debug)]
pub struct Lifting<K, M> {
    reads: K,
    makes: M,
}

impl<K, M> Lifting<K, M> {
    /// Reads by `reads` what `makes` has made.
    #[must_use]
    pub const fn new(reads: K, makes: M) -> Self {
        Self { reads, makes }
    }
}

impl<R, K: Lifts<R>, M: Makes<R>> Makes<Result<R, K::Error>> for Lifting<K, M> {
    fn timed_out(self, error: TimeoutError) -> Result<R, K::Error> {
        self.reads.lift(self.makes.timed_out(error))
    }
}

/// There is no way, and the compiler has said so: this has no value.
#[derive(Clone, Copy, Debug)]
pub struct Missing(Infallible);

impl<R> Makes<R> for Missing {
    fn timed_out(self, _: TimeoutError) -> R {
        match self.0 {}
    }
}
