//! How an argument is held depends on its type alone; the expansion asks by method resolution: the more references a `Kind…` trait is
//! implemented behind, the earlier it is chosen. See [`of`].

use std::marker::PhantomData;

use super::others::{Cloned, Mut, Ref};
use super::tensors::{Exclusive, OptionalMut, OptionalRef, Owned, RefSlice, Shared, Slice, SliceMut};
use crate::device::migrate::{Migrate, Rebuild};
use crate::otherwise::{self, Never, Otherwise};

/// The type of an argument, for [`ByRefs`] and the traits after it.
pub struct Of<T>(PhantomData<fn() -> T>);

/// Asks how an argument is passed on: `(&&&&&&of(&argument)).kind().hold(argument)`.
pub fn of<T>(_: &T) -> Of<T> {
    Of(PhantomData)
}

/// How an argument of type `T` is held.
pub struct Kind<T, H> {
    hold: fn(T) -> H,
}

impl<T, H> Kind<T, H> {
    /// Takes the argument.
    pub fn hold(self, argument: T) -> H {
        (self.hold)(argument)
    }
}

macro_rules! kinds {
    ($(
        $(#[$doc:meta])*
        $trait:ident, $amps:tt {$(impl $generic:tt for $type:ty => $holder:ty, $hold:expr;)+}
    )*) => {$(
        $(#[$doc])*
        pub trait $trait<T> {
            /// How the argument is held.
            type Held;

            /// Chosen for the argument's type.
            fn kind(&self) -> Kind<T, Self::Held>;
        }

        $(kinds!(@$trait $amps $generic $type, $holder, $hold);)+
    )*};
    (@$trait:ident ($($amp:tt)*) [$($generic:tt)*] $type:ty, $holder:ty, $hold:expr) => {
        impl<$($generic)*> $trait<$type> for $($amp)* Of<$type> {
            type Held = $holder;

            fn kind(&self) -> Kind<$type, Self::Held> {
                Kind { hold: $hold }
            }
        }
    };
}

kinds! {
    /// References inside a container.
    ByRefs, (&&&&&) {
        impl ['a, T: Rebuild] for Option<&'a T> => OptionalRef<'a, T>, OptionalRef;
        impl ['a, 'b, T: Rebuild] for &'a [&'b T] => RefSlice<'a, 'b, T>, RefSlice;
        impl ['a, T: Migrate] for Option<&'a mut T> => OptionalMut<'a, T>, OptionalMut;
    }
    /// Slices.
    BySlice, (&&&&) {
        impl ['a, T: Rebuild] for &'a [T] => Slice<'a, T>, Slice;
        impl ['a, T: Migrate] for &'a mut [T] => SliceMut<'a, T>, SliceMut;
    }
    /// Values with tensors.
    ByMigrate, (&&&) {
        impl ['a, T: Rebuild] for &'a T => Shared<'a, T>, Shared;
        impl ['a, T: Migrate] for &'a mut T => Exclusive<'a, T>, Exclusive;
    }
    /// Values with tensors, given away.
    ByValue, (&&) {
        impl [T: Rebuild] for T => Owned<T>, |value| Owned(Some(value));
    }
    /// References to anything else.
    ByReference, (&) {
        impl ['a, T: ?Sized] for &'a T => Ref<'a, T>, Ref;
        impl ['a, T: ?Sized] for &'a mut T => Mut<'a, T>, Mut;
    }
}

/// Values with tensors that cannot be copied, taken by `&`: a compile error that says so.
pub trait BySkipped<V, T> {
    /// Never available: `T` has `Migrate`, but not `Rebuild`.
    fn kind(&self) -> Kind<V, Cloned<V>>
    where
        T: Copied,
    {
        Kind { hold: Cloned::never }
    }
}

impl<'a, T: Migrate> BySkipped<&'a T, T> for &&Of<&'a T> {}

impl<'a, T: Migrate> BySkipped<&'a [T], T> for &&Of<&'a [T]> {}

impl<'a, T: Migrate> BySkipped<Option<&'a T>, T> for &&Of<Option<&'a T>> {}

/// Values with tensors that cannot be copied, given away: a compile error that says so.
pub trait BySkippedValue<T> {
    /// Never available: `T` has `Migrate`, but not `Rebuild`.
    fn kind(&self) -> Kind<T, Cloned<T>>
    where
        T: Copied,
    {
        Kind { hold: Cloned::never }
    }
}

impl<T: Migrate> BySkippedValue<T> for &Of<T> {}

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be copied to the CPU: take it by `&mut`, or take the fields that the function needs",
    label = "holds a field marked `#[migrate(skip)]`, and is not lent by `&mut`",
    note = "`#[safe_mps_op]` copies what it is given by `&` or by value, and exchanges tensors in what it is given by `&mut`"
)]
pub trait Copied {}

/// Anything else, given away.
pub trait ByClone<T> {
    /// Chosen last; what cannot be cloned is a compile error that says so.
    fn kind<M>(&self) -> Kind<T, Cloned<T>>
    where
        T: Again<M>;
}

impl<T> ByClone<T> for Of<T> {
    fn kind<M>(&self) -> Kind<T, Cloned<T>>
    where
        T: Again<M>,
    {
        Kind { hold: |value| Cloned::new(value, T::again) }
    }
}

/// What can be passed to a second attempt: it is cloned for the first.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a `#[safe_mps_op]` function: take it by reference, or derive `Clone` for it",
    label = "neither holds tensors that can be moved nor can be cloned for a second attempt",
    note = "if it holds tensors, add `#[derive(backstop::Migrate)]` to the type"
)]
pub trait Again<M>: Sized {
    /// Another one for another attempt.
    #[must_use]
    fn again(&self) -> Self;
}

impl<T: Clone> Again<otherwise::Cloned> for T {
    fn again(&self) -> Self {
        self.clone()
    }
}

impl<T: Never> Again<Otherwise> for T {
    fn again(&self) -> Self {
        self.never()
    }
}
