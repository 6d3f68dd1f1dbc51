//! Arguments that the result may borrow from: the body gets them for as long as they live, and not only for the attempt.
//!
//! A copy ends with the call, so nothing can borrow from it: a call whose result may borrow from tensors has one attempt, on the device.

use super::others::{Cloned, Mut, Ref};
use super::tensors::{Exclusive, OptionalMut, OptionalRef, Owned, RefSlice, Shared, Slice, SliceMut};
use super::{Argument, GIVEN, LendAt};
use crate::device::migrate::{Migrate, Rebuild, Visitor};
use crate::device::moving::Migration;
use crate::device::torch::Device;

/// An argument that the result may borrow from: `….hold(argument).bind()`.
pub trait Bind {
    /// How it is held then.
    type Bound: Argument;

    /// Holds it for the result.
    fn bind(self) -> Self::Bound;
}

/// Shared references: each attempt gets the whole of it, but only tensors on the CPU can be lent twice.
pub struct Kept<V, H> {
    value: V,
    held: H,
}

impl<V: Copy, H> LendAt<'_> for Kept<V, H> {
    type Lent = V;
}

impl<V: Copy, H: Argument> Argument for Kept<V, H> {
    type Copy = ();

    fn lend(&mut self) -> V {
        self.value
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.held.visit(visitor);
    }

    fn shown(&self) -> Option<&'static str> {
        self.held.shown()
    }

    fn is_bound(&self) -> bool {
        let mut on_device = false;
        self.held.visit(&mut Visitor::new(&mut |_, seen| on_device |= seen.device() != Device::Cpu));
        on_device
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> V {
        self.value
    }
}

/// Exclusive references: given away to the one attempt there is.
pub struct Once<H>(Option<H>);

/// What an exclusive reference gives away.
pub trait Give: Argument {
    /// The reference, for as long as it lives.
    type Given;

    /// Gives it away.
    fn give_away(self) -> Self::Given;
}

impl<H: Give> LendAt<'_> for Once<H> {
    type Lent = H::Given;
}

impl<H: Give> Argument for Once<H> {
    type Copy = ();

    fn lend(&mut self) -> H::Given {
        self.0.take().expect(GIVEN).give_away()
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().for_each(|held| held.visit(visitor));
    }

    fn shown(&self) -> Option<&'static str> {
        self.0.as_ref().and_then(Argument::shown)
    }

    fn is_bound(&self) -> bool {
        true
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> H::Given {
        self.lend()
    }
}

macro_rules! bound {
    ($(shared [$($shared:tt)*] $held:ty => $value:ty;)*) => {$(
        impl<$($shared)*> Bind for $held {
            type Bound = Kept<$value, Self>;

            fn bind(self) -> Self::Bound {
                Kept { value: self.0, held: self }
            }
        }
    )*};
    ($(exclusive [$($generic:tt)*] $held:ty => $value:ty;)*) => {$(
        impl<$($generic)*> Give for $held {
            type Given = $value;

            fn give_away(self) -> $value {
                self.0
            }
        }

        impl<$($generic)*> Bind for $held {
            type Bound = Once<Self>;

            fn bind(self) -> Self::Bound {
                Once(Some(self))
            }
        }
    )*};
    ($(unbound [$($generic:tt)*] $held:ty;)*) => {$(
        impl<$($generic)*> Bind for $held {
            type Bound = Self;

            fn bind(self) -> Self {
                self
            }
        }
    )*};
}

bound! {
    shared ['a, T: Rebuild] Shared<'a, T> => &'a T;
    shared ['a, T: Rebuild] Slice<'a, T> => &'a [T];
    shared ['a, 'b, T: Rebuild] RefSlice<'a, 'b, T> => &'a [&'b T];
    shared ['a, T: Rebuild] OptionalRef<'a, T> => Option<&'a T>;
}

bound! {
    exclusive ['a, T: Migrate] Exclusive<'a, T> => &'a mut T;
    exclusive ['a, T: Migrate] SliceMut<'a, T> => &'a mut [T];
    exclusive ['a, T: Migrate] OptionalMut<'a, T> => Option<&'a mut T>;
    exclusive ['a, T: ?Sized] Mut<'a, T> => &'a mut T;
}

// Without tensors, or without a borrow: every attempt gets it whole as it is.
bound! {
    unbound ['a, T: ?Sized] Ref<'a, T>;
    unbound [T] Cloned<T>;
    unbound [T: Rebuild] Owned<T>;
}
