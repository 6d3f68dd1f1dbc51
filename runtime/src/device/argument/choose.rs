//! How an argument is held depends on its type alone; the expansion asks by method resolution: the more references a `Kind…` trait is
//! implemented behind, the earlier it is chosen. See [`of`].

use std::marker::PhantomData;

use super::others::{Cloned, Mut, Ref};
use super::tensors::{Exclusive, OptionalMut, OptionalRef, Owned, RefSlice, Shared, Slice, SliceMut};
use crate::device::migrate::{Migrate, Rebuild};

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

/// Values with tensors that cannot be copied: taken by `&`, they are a compile error that says so.
///
/// ```compile_fail,E0277
/// #[derive(backstop::Migrate)]
/// struct Agent {
///     weights: tch::Tensor,
///     #[migrate(skip)]
///     lock: std::sync::Mutex<u64>,
/// }
///
/// #[backstop::safe_mps_op]
/// fn loss(agent: &Agent) -> tch::Tensor {
///     &agent.weights * 2.0
/// }
/// ```
/// By `&mut` they are lent with copies in the places of their tensors:
/// ```no_run
/// #[derive(backstop::Migrate)]
/// struct Agent {
///     weights: tch::Tensor,
///     #[migrate(skip)]
///     lock: std::sync::Mutex<u64>,
/// }
///
/// #[backstop::safe_mps_op]
/// fn loss(agent: &mut Agent) -> tch::Tensor {
///     &agent.weights * 2.0
/// }
/// ```
pub trait BySkipped<'a, T> {
    /// Never available: `T` has `Migrate`, but not `Rebuild`.
    fn kind(&self) -> Kind<&'a T, Shared<'a, T>>
    where
        T: Rebuild;
}

impl<'a, T: Migrate> BySkipped<'a, T> for &&Of<&'a T> {
    fn kind(&self) -> Kind<&'a T, Shared<'a, T>>
    where
        T: Rebuild,
    {
        Kind { hold: Shared }
    }
}

/// Anything else, given away.
pub trait ByClone<T> {
    /// Chosen last; what cannot be cloned is a compile error that says so.
    fn kind(&self) -> Kind<T, Cloned<T>>
    where
        T: Again;
}

impl<T> ByClone<T> for Of<T> {
    fn kind(&self) -> Kind<T, Cloned<T>>
    where
        T: Again,
    {
        Kind { hold: |value| Cloned(Some(value)) }
    }
}

/// What can be passed to a second attempt: it is cloned for the first.
///
/// ```compile_fail,E0277
/// struct Opaque;
///
/// #[backstop::safe_mps_op]
/// fn scaled(x: &tch::Tensor, by_value: Opaque) -> tch::Tensor {
///     x * 2.0
/// }
/// ```
/// By reference it is passed as it is:
/// ```no_run
/// struct Opaque;
///
/// #[backstop::safe_mps_op]
/// fn scaled(x: &tch::Tensor, by_reference: &Opaque, exclusive: &mut Opaque) -> tch::Tensor {
///     x * 2.0
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a `#[safe_mps_op]` function",
    label = "neither holds tensors that can be moved nor can be cloned for a second attempt",
    note = "take it by reference, derive `Clone` for it, or `backstop::Migrate` if it holds tensors"
)]
pub trait Again: Sized {
    /// Another one for another attempt.
    #[must_use]
    fn again(&self) -> Self;
}

impl<T: Clone> Again for T {
    fn again(&self) -> Self {
        self.clone()
    }
}
