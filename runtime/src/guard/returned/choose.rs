//! Which rule applies to a return type. A method is looked up on the receiver with all its references first, and then with one less each
//! time; a rule for `&&&&Returned<…>` therefore comes before one for `&&&Returned<…>`, if its bounds hold.

use std::marker::PhantomData;

/// The return type of an annotated function.
#[derive(Debug)]
pub struct Returned<R>(PhantomData<fn() -> R>);

impl<R> Returned<R> {
    /// Of a body; it says what the return type leaves open (`impl Trait`).
    #[must_use]
    pub const fn by<F: Future<Output = R>>(_body: &F) -> Self {
        Self(PhantomData)
    }
}

/// How to read the values of a function without a fallback.
pub mod reads_alone {
    use super::Returned;
    pub use super::common::{BackstopPrinted, BackstopShown, BackstopSilent, BackstopSourced};
    use crate::guard::returned::Value;

    /// The last rule: it is no `Result`.
    pub trait BackstopValue {
        /// The rule.
        fn backstop_reads(&self) -> Value {
            Value
        }
    }

    impl<R> BackstopValue for Returned<R> {}
}

/// How to read the values of a function with a fallback.
pub mod reads_or_else {
    use super::Returned;
    pub use super::common::{BackstopPrinted, BackstopShown, BackstopSilent, BackstopSourced};
    use crate::guard::returned::Lone;

    /// The last rule: it is no `Result`, and only a timeout calls the fallback.
    pub trait BackstopLone {
        /// The rule.
        fn backstop_reads(&self) -> Lone {
            Lone
        }
    }

    impl<R> BackstopLone for Returned<R> {}
}

/// The same with `on_timeout`, which makes the value of a call that timed out: only an `Err` of it calls the fallback.
pub mod reads_made {
    use super::Returned;
    pub use super::common::{BackstopPrinted, BackstopShown, BackstopSilent, BackstopSourced};
    use crate::guard::returned::Lone;

    /// No error at all.
    #[diagnostic::on_unimplemented(
        message = "`fallback` can never be called: what `on_timeout` makes is no `Result`, so it counts as a success",
        label = "makes the value of every call that timed out",
        note = "leave `on_timeout` out, and the fallback is called with the `TimeoutError`; or leave `fallback` out"
    )]
    pub trait CanFail {
        /// No type has this: the trait has no implementation, and is there for its message.
        fn missing() -> Lone;
    }

    /// The last rule: it is no `Result`.
    pub trait BackstopLone<R> {
        /// The rule.
        fn backstop_reads(&self) -> Lone
        where
            R: CanFail,
        {
            R::missing()
        }
    }

    impl<R> BackstopLone<R> for Returned<R> {}
}

mod common {
    use std::error::Error;
    use std::fmt::{Debug, Display};

    use super::Returned;
    use crate::guard::returned::{Printed, Shown, Silent, Sourced};

    /// The first rule: an error that can be a source.
    pub trait BackstopSourced {
        /// The rule.
        fn backstop_reads(&self) -> Sourced {
            Sourced
        }
    }

    impl<T, E: Into<Box<dyn Error + Send + Sync>>> BackstopSourced for &&&&Returned<Result<T, E>> {}

    /// The second rule: an error that can be displayed.
    pub trait BackstopShown {
        /// The rule.
        fn backstop_reads(&self) -> Shown {
            Shown
        }
    }

    impl<T, E: Display> BackstopShown for &&&Returned<Result<T, E>> {}

    /// The third rule: an error that has only `Debug`.
    pub trait BackstopPrinted {
        /// The rule.
        fn backstop_reads(&self) -> Printed {
            Printed
        }
    }

    impl<T, E: Debug> BackstopPrinted for &&Returned<Result<T, E>> {}

    /// The fourth rule: an error that says nothing.
    pub trait BackstopSilent {
        /// The rule.
        fn backstop_reads(&self) -> Silent {
            Silent
        }
    }

    impl<T, E> BackstopSilent for &Returned<Result<T, E>> {}
}

/// How to make the value that says that a call timed out.
pub mod makes_alone {
    use super::Returned;
    pub use super::from::{BackstopFrom, BackstopNoFrom};
    use crate::guard::returned::Missing;

    /// No error type at all.
    #[diagnostic::on_unimplemented(
        message = "the return type of this function cannot say that the call timed out",
        label = "this type has no place for a `TimeoutError`",
        note = "return a `Result` whose error has `From<backstop::TimeoutError>` (`std::io::Error`, `anyhow::Error` and `Box<dyn Error + Send + Sync>` have it)",
        note = "or add `on_timeout = path` to the attribute, with `fn path(error: backstop::TimeoutError) -> {Self}`"
    )]
    pub trait CanTimeOut {
        /// No type has this: the trait has no implementation, and is there for its message.
        fn missing() -> Missing;
    }

    /// The last rule: it is no `Result`.
    pub trait BackstopMissing<R> {
        /// The rule.
        fn backstop_makes(&self) -> Missing
        where
            R: CanTimeOut,
        {
            R::missing()
        }
    }

    impl<R> BackstopMissing<R> for Returned<R> {}
}

/// The same under a fallback, where a function without a `Result` hands the timeout to the fallback.
pub mod makes_or_else {
    use super::Returned;
    pub use super::from::{BackstopFrom, BackstopNoFrom};
    use crate::guard::returned::ByFrom;

    /// The last rule: it is no `Result`.
    pub trait BackstopLone {
        /// The rule.
        fn backstop_makes(&self) -> ByFrom {
            ByFrom
        }
    }

    impl<R> BackstopLone for Returned<R> {}
}

mod from {
    use super::Returned;
    use crate::guard::returned::{ByFrom, Missing};
    use crate::outcome::TimeoutError;

    /// The first rule: a `Result` whose error is made from a timeout.
    pub trait BackstopFrom {
        /// The rule.
        fn backstop_makes(&self) -> ByFrom {
            ByFrom
        }
    }

    impl<T, E: From<TimeoutError>> BackstopFrom for &&Returned<Result<T, E>> {}

    /// A `Result` whose error `E` a timeout cannot become. The error is not `Self`, or the compiler would propose this trait as a bound for
    /// a type parameter.
    #[diagnostic::on_unimplemented(
        message = "the error `{E}` of this function cannot say that the call timed out",
        label = "write `impl From<backstop::TimeoutError> for {E}`",
        note = "an error that is a type parameter needs the bound `From<backstop::TimeoutError>`",
        note = "where the type is not yours, add `on_timeout = path` to the attribute, with `fn path(error: backstop::TimeoutError)` returning what this function returns"
    )]
    pub trait HoldsTimeout<E> {
        /// No type has this: the trait has no implementation, and is there for its message.
        fn missing() -> Missing;
    }

    /// The second rule: any other `Result`.
    pub trait BackstopNoFrom<R, E> {
        /// The rule.
        fn backstop_makes(&self) -> Missing
        where
            R: HoldsTimeout<E>,
        {
            R::missing()
        }
    }

    impl<T, E> BackstopNoFrom<Result<T, E>, E> for &Returned<Result<T, E>> {}
}
