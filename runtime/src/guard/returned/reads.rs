//! Whether a returned value is a failure, and what remains of its error.

use std::error::Error;
use std::fmt::{Debug, Display};

use crate::outcome::TimeoutError;

type Source = Box<dyn Error + Send + Sync>;

/// Reads values of type `R`.
pub trait Reads<R>: Copy {
    /// Whether the value is an `Err`.
    fn failed(self, returned: &R) -> bool;

    /// Its error, as the source of a timeout.
    fn into_source(self, returned: R) -> Option<Source>;
}

/// Separates the failure that a fallback is called with.
pub trait Lifts<R>: Copy {
    /// What the fallback is given.
    type Error;

    /// The value itself, or that failure.
    ///
    /// # Errors
    /// The function's own error.
    fn lift(self, returned: R) -> Result<R, Self::Error>;
}

/// A `Result` whose error can be a source.
#[derive(Clone, Copy, Debug)]
pub struct Sourced;

/// A `Result` whose error can be displayed.
#[derive(Clone, Copy, Debug)]
pub struct Shown;

/// A `Result` whose error has only `Debug`.
#[derive(Clone, Copy, Debug)]
pub struct Printed;

/// A `Result` whose error says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

/// No `Result`: never a failure.
#[derive(Clone, Copy, Debug)]
pub struct Value;

/// No `Result`, under a fallback: only a timeout is a failure.
#[derive(Clone, Copy, Debug)]
pub struct Lone;

macro_rules! reads_result {
    ($rule:ident, [$($bound:tt)*], $error:ident => $source:expr) => {
        impl<T, E: $($bound)*> Reads<Result<T, E>> for $rule {
            #[inline]
            fn failed(self, returned: &Result<T, E>) -> bool {
                returned.is_err()
            }

            fn into_source(self, returned: Result<T, E>) -> Option<Source> {
                returned.err().and_then(|$error| $source)
            }
        }

        impl<T, E> Lifts<Result<T, E>> for $rule {
            type Error = E;

            fn lift(self, returned: Result<T, E>) -> Result<Result<T, E>, E> {
                returned.map(Ok)
            }
        }
    };
}

reads_result!(Sourced, [Into<Source>], error => Some(error.into()));
reads_result!(Shown, [Display], error => Some(error.to_string().into()));
reads_result!(Printed, [Debug], error => Some(format!("{error:?}").into()));
reads_result!(Silent, [], _error => None);

impl<R> Reads<R> for Value {
    fn failed(self, _: &R) -> bool {
        false
    }

    fn into_source(self, _: R) -> Option<Source> {
        None
    }
}

impl<R> Reads<Result<R, TimeoutError>> for Lone {
    fn failed(self, returned: &Result<R, TimeoutError>) -> bool {
        returned.is_err()
    }

    fn into_source(self, returned: Result<R, TimeoutError>) -> Option<Source> {
        returned.err().map(Into::into)
    }
}

impl<R> Lifts<R> for Lone {
    type Error = TimeoutError;

    fn lift(self, returned: R) -> Result<R, TimeoutError> {
        Ok(returned)
    }
}
