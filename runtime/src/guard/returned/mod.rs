//! What a guarded function returns, and how a timeout becomes one of those.
//!
//! The expansion writes `returns!(…)` with the function's return type. Two choices are made from that type: how to read a returned value
//! ([`reads`]) and how to make the one that says that the call timed out ([`makes`]). Both are made by the way Rust looks up methods:
//! the most references win, so that the first rule whose bounds hold applies ([`choose`]). The chosen types do not name the return type,
//! so that a future of the guard borrows no more than the function's own.

mod choose;
mod makes;
mod reads;
#[cfg(test)]
mod tests;

use std::error::Error;

pub use choose::Returned;
pub use choose::{makes_alone, makes_or_else, reads_alone, reads_made, reads_or_else};
pub use makes::{ByFrom, Calling, Lifting, Makes, Missing};
pub use reads::{Lifts, Lone, Printed, Reads, Shown, Silent, Sourced, Value};

use crate::outcome::TimeoutError;
use crate::policy;

/// How the guard reads and makes values of a function's return type `R`.
pub trait Returns<R>: Copy {
    /// Whether the value is an `Err`.
    fn failed(self, returned: &R) -> bool;

    /// The value that says that the call timed out.
    fn timed_out(self, error: TimeoutError) -> R;

    /// The body's own error, to be the source of a timeout that came first; `None` where it cannot be one.
    fn into_source(self, returned: R) -> Option<Box<dyn Error + Send + Sync>>;
}

/// Reads by `K`, makes by `M`.
#[derive(Clone, Copy, Debug)]
pub struct By<K, M> {
    reads: K,
    makes: M,
}

impl<K, M> By<K, M> {
    /// Of the two choices.
    #[must_use]
    pub const fn new(reads: K, makes: M) -> Self {
        Self { reads, makes }
    }
}

impl<R, K: Reads<R>, M: Makes<R>> Returns<R> for By<K, M> {
    fn failed(self, returned: &R) -> bool {
        self.reads.failed(returned)
    }

    fn timed_out(self, error: TimeoutError) -> R {
        self.makes.timed_out(error)
    }

    fn into_source(self, returned: R) -> Option<Box<dyn Error + Send + Sync>> {
        self.reads.into_source(returned)
    }
}

/// The body of a function with a fallback: its result, or the error that the fallback is called with. Where fallbacks are switched off, a
/// failure is a result like any other; every guard is off then too, so nobody else needs to tell them apart.
pub async fn lift<K, M, F>(returns: By<K, M>, body: F) -> Result<F::Output, K::Error>
where
    F: Future,
    K: Lifts<F::Output>,
{
    let returned = body.await;
    if policy::fallbacks_are_on() { returns.reads.lift(returned) } else { Ok(returned) }
}

/// How the guard reads and makes values of the return type of `body`. The first word says whether the error may borrow, the second
/// whether a fallback follows.
#[doc(hidden)]
#[macro_export]
macro_rules! __returns {
    ($error:ident alone $body:ident, on_timeout $path:path, $returned:ty) => {
        $crate::private::By::new($crate::__reads!($error reads_alone $body, $returned), $crate::private::Calling::<$returned>::new($path))
    };
    ($error:ident or_else $body:ident, on_timeout $path:path, $returned:ty) => {{
        let reads = $crate::__reads!($error reads_made $body, $returned);
        $crate::private::By::new(reads, $crate::private::Lifting::new(reads, $crate::private::Calling::<$returned>::new($path)))
    }};
    ($error:ident alone $body:ident, $returned:ty) => {
        $crate::private::By::new($crate::__reads!($error reads_alone $body, $returned), {
            use $crate::private::makes_alone::*;
            (&&&$crate::private::Returned::<$returned>::by(&$body)).backstop_makes()
        })
    };
    ($error:ident or_else $body:ident, $returned:ty) => {
        $crate::private::By::new($crate::__reads!($error reads_or_else $body, $returned), {
            use $crate::private::makes_or_else::*;
            (&&&$crate::private::Returned::<$returned>::by(&$body)).backstop_makes()
        })
    };
}

/// How returned values are read. An error that may borrow cannot be kept as a source, only its text.
#[doc(hidden)]
#[macro_export]
macro_rules! __reads {
    (owned $rules:ident $body:ident, $returned:ty) => {{
        use $crate::private::$rules::*;
        (&&&&&$crate::private::Returned::<$returned>::by(&$body)).backstop_reads()
    }};
    (borrowing $rules:ident $body:ident, $returned:ty) => {{
        use $crate::private::$rules::*;
        (&&&&$crate::private::Returned::<$returned>::by(&$body)).backstop_reads()
    }};
}
