//! An argument that is needed more than once.

use crate::otherwise::{Cloned, Never, Otherwise};

/// A clone of an argument that another attempt, or the fallback, will need.
pub fn again<T: Again<M>, M>(argument: &T) -> T {
    argument.again()
}

/// What can be cloned. `M` is there so that a type without `Clone` gets this trait's message and not one about `Clone`.
#[diagnostic::on_unimplemented(
    message = "`retry` and `fallback` need this argument more than once, but `{Self}` cannot be cloned",
    label = "`{Self}` has no `Clone`",
    note = "derive `Clone`, or take a reference or an `Arc<{Self}>`"
)]
pub trait Again<M>: Sized {
    /// A clone.
    #[must_use]
    fn again(&self) -> Self;
}

impl<T: Clone> Again<Cloned> for T {
    fn again(&self) -> Self {
        self.clone()
    }
}

impl<T: Never> Again<Otherwise> for T {
    fn again(&self) -> Self {
        self.never()
    }
}

/// Calls a body that returns a future, so that its `return`s stay its own.
pub fn once<R>(body: impl FnOnce() -> R) -> R {
    body()
}
