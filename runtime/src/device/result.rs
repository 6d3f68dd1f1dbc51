//! What a function returns: where its errors and its tensors are. Chosen by the expansion, by method resolution as in
//! [`argument`](super::argument).

use std::any::type_name;
use std::error::Error;
use std::marker::PhantomData;
use std::ops::Deref;

use super::classify::{self, Fault};
use super::migrate::{Migrate, Visitor, VisitorMut};
use super::opaque;
use super::torch::{self, TchError};

/// The return type of a function: `(&&&&ResultOf::<R>::new()).errors()`.
pub struct ResultOf<R>(PhantomData<fn() -> R>);

impl<R> ResultOf<R> {
    /// Of a function.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R> Default for ResultOf<R> {
    fn default() -> Self {
        Self::new()
    }
}

/// How errors are read from, and put into, a return type.
pub trait Errors<R>: Copy {
    /// The device fault that the value reports.
    fn fault(self, returned: &R) -> Option<Fault>;

    /// Whether the value is an `Err`.
    fn failed(self, returned: &R) -> bool;

    /// The text of an `Err`.
    fn error(self, returned: &R) -> Option<String>;

    /// The value that fails with `text`; `Err` gives the text back where only a panic can say it.
    ///
    /// # Errors
    ///
    /// The type holds no libtorch error.
    fn fail(self, text: String) -> Result<R, String>;

    /// Adds to the error's text, where it is libtorch's and nothing else would be lost.
    fn append(self, returned: &mut R, addition: &str);
}

/// `Result` whose error is made from tch's.
#[derive(Clone, Copy)]
pub struct FromTch;

/// `Result` whose error is a pointer to an error: `anyhow::Error`, `Box<dyn Error>`.
#[derive(Clone, Copy)]
pub struct Pointer;

/// `Result` of another error.
#[derive(Clone, Copy)]
pub struct Foreign;

/// Anything else fails by panic only.
#[derive(Clone, Copy)]
pub struct Panics;

impl<T, E: Error + From<TchError> + 'static> Errors<Result<T, E>> for FromTch {
    fn fault(self, returned: &Result<T, E>) -> Option<Fault> {
        classify::of_error(returned.as_ref().err()?)
    }

    fn failed(self, returned: &Result<T, E>) -> bool {
        returned.is_err()
    }

    fn error(self, returned: &Result<T, E>) -> Option<String> {
        returned.as_ref().err().map(ToString::to_string)
    }

    fn fail(self, text: String) -> Result<Result<T, E>, String> {
        Ok(Err(E::from(torch::error(text))))
    }

    fn append(self, returned: &mut Result<T, E>, addition: &str) {
        if let Err(error) = returned
            && let Some(extended) = extended(error, addition, |error| format!("{error:?}"))
        {
            *error = extended;
        }
    }
}

impl<T, E> Errors<Result<T, E>> for Pointer
where
    E: Deref<Target: AsError> + From<TchError>,
{
    fn fault(self, returned: &Result<T, E>) -> Option<Fault> {
        classify::of_error(returned.as_ref().err()?.as_error())
    }

    fn failed(self, returned: &Result<T, E>) -> bool {
        returned.is_err()
    }

    fn error(self, returned: &Result<T, E>) -> Option<String> {
        returned.as_ref().err().map(|error| error.as_error().to_string())
    }

    fn fail(self, text: String) -> Result<Result<T, E>, String> {
        Ok(Err(E::from(torch::error(text))))
    }

    fn append(self, returned: &mut Result<T, E>, addition: &str) {
        if let Err(error) = returned
            && let Some(extended) = extended(error.as_error(), addition, |error: &E| format!("{:?}", error.as_error()))
        {
            *error = extended;
        }
    }
}

/// The error with an addition to libtorch's text, where `From` makes just this error of that text. A context that the program has put around
/// it must not be lost.
fn extended<E: From<TchError>>(error: &(dyn Error + 'static), addition: &str, show: impl Fn(&E) -> String) -> Option<E> {
    let text = std::iter::successors(Some(error), |error| (*error).source()).find_map(torch::told)?;
    let same = show(&E::from(torch::error(text.clone()))) == format!("{error:?}");
    same.then(|| E::from(torch::error(text + addition)))
}

impl<T, E: Error + 'static> Errors<Result<T, E>> for Foreign {
    fn fault(self, returned: &Result<T, E>) -> Option<Fault> {
        classify::of_error(returned.as_ref().err()?)
    }

    fn failed(self, returned: &Result<T, E>) -> bool {
        returned.is_err()
    }

    fn error(self, returned: &Result<T, E>) -> Option<String> {
        returned.as_ref().err().map(ToString::to_string)
    }

    fn fail(self, text: String) -> Result<Result<T, E>, String> {
        Err(text)
    }

    fn append(self, _: &mut Result<T, E>, _: &str) {}
}

impl<R> Errors<R> for Panics {
    fn fault(self, _: &R) -> Option<Fault> {
        None
    }

    fn failed(self, _: &R) -> bool {
        false
    }

    fn error(self, _: &R) -> Option<String> {
        None
    }

    fn fail(self, text: String) -> Result<R, String> {
        Err(text)
    }

    fn append(self, _: &mut R, _: &str) {}
}

/// What an error pointer points to.
pub trait AsError {
    /// The error.
    fn as_error(&self) -> &(dyn Error + 'static);
}

impl AsError for dyn Error {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl AsError for dyn Error + Send {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl AsError for dyn Error + Send + Sync {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

/// How the tensors of a result are found.
pub trait Tensors<R>: Copy {
    /// Shows them.
    fn visit(self, returned: &R, visitor: &mut Visitor<'_>);

    /// Shows them to be replaced.
    fn visit_mut(self, returned: &mut R, visitor: &mut VisitorMut<'_>);

    /// Whether something that was computed from tensors may leave the function by the result.
    fn lets_out(self) -> bool {
        !opaque::holds_none(type_name::<R>())
    }

    /// The type's name, where it surely holds tensors and does not show them.
    fn hidden(self) -> Option<&'static str> {
        None
    }
}

/// A result that says where its tensors are.
#[derive(Clone, Copy)]
pub struct Shown;

/// A result without tensors, or one that hides them.
#[derive(Clone, Copy)]
pub struct Hidden;

impl<R: Migrate> Tensors<R> for Shown {
    fn visit(self, returned: &R, visitor: &mut Visitor<'_>) {
        returned.visit(visitor);
    }

    fn visit_mut(self, returned: &mut R, visitor: &mut VisitorMut<'_>) {
        returned.visit_mut(visitor);
    }
}

impl<R> Tensors<R> for Hidden {
    fn visit(self, _: &R, _: &mut Visitor<'_>) {}

    fn visit_mut(self, _: &mut R, _: &mut VisitorMut<'_>) {}

    fn hidden(self) -> Option<&'static str> {
        opaque::hides_tensors(type_name::<R>())
    }
}

macro_rules! choices {
    ($($trait:ident, $method:ident, ($($amp:tt)*): [$($generic:tt)*] $type:ty => $marker:ident;)*) => {$(
        /// One step of the choice: see [`ResultOf`].
        pub trait $trait {
            /// Chosen for the return type.
            fn $method(&self) -> $marker {
                $marker
            }
        }

        impl<$($generic)*> $trait for $($amp)* ResultOf<$type> {}
    )*};
}

choices! {
    ErrorsFromTch, errors, (&&&): [T, E: Error + From<TchError> + 'static] Result<T, E> => FromTch;
    ErrorsByPointer, errors, (&&): [T, E: Deref<Target: AsError> + From<TchError>] Result<T, E> => Pointer;
    ErrorsForeign, errors, (&): [T, E: Error + 'static] Result<T, E> => Foreign;
    ErrorsByPanic, errors, (): [R] R => Panics;
    TensorsShown, tensors, (&): [R: Migrate] R => Shown;
    TensorsHidden, tensors, (): [R] R => Hidden;
}
