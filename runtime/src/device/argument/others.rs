//! Arguments without tensors: passed on as they are.

use std::any::type_name;

use super::{Argument, GIVEN, LendAt};
use crate::device::moving::Migration;

/// A reference to something without tensors.
pub struct Ref<'a, T: ?Sized>(pub(super) &'a T);

impl<'x, 'a, T: ?Sized> LendAt<'x> for Ref<'a, T> {
    type Lent = &'a T;
}

impl<'a, T: ?Sized> Argument for Ref<'a, T> {
    type Copy = ();

    fn lend(&mut self) -> &'a T {
        self.0
    }

    fn opaque(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> &'a T {
        self.0
    }
}

/// An exclusive reference to something without tensors.
///
/// Each attempt is lent the whole `'a`. The expansion makes the reference by reborrowing a parameter that it uses again after the call,
/// so nothing that outlives an attempt (another argument, the result) can hold it.
pub struct Mut<'a, T: ?Sized>(pub(super) &'a mut T);

impl<'a, T: ?Sized> Mut<'a, T> {
    fn again(&mut self) -> &'a mut T {
        // SAFETY: the attempt before has ended, and with it every use of what it was lent: see the type.
        unsafe { &mut *std::ptr::from_mut(self.0) }
    }
}

impl<'a, T: ?Sized> LendAt<'_> for Mut<'a, T> {
    type Lent = &'a mut T;
}

impl<'a, T: ?Sized> Argument for Mut<'a, T> {
    type Copy = ();

    fn lend(&mut self) -> &'a mut T {
        self.again()
    }

    fn opaque(&self) -> Option<&'static str> {
        Some(type_name::<&mut T>())
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> &'a mut T {
        self.again()
    }
}

/// A value without tensors, and how it is cloned. No bound: what has no `Clone` is refused where it is chosen, and nowhere else.
pub struct Cloned<T> {
    value: Option<T>,
    again: fn(&T) -> T,
}

impl<T> Cloned<T> {
    pub(super) fn new(value: T, again: fn(&T) -> T) -> Self {
        Self { value: Some(value), again }
    }

    /// For what compiles never.
    pub(super) fn never(value: T) -> Self {
        Self { value: Some(value), again: |_| unreachable!("the compiler refuses such an argument") }
    }
}

impl<T> LendAt<'_> for Cloned<T> {
    type Lent = T;
}

impl<T> Argument for Cloned<T> {
    type Copy = ();

    fn lend(&mut self) -> T {
        (self.again)(self.value.as_ref().expect(GIVEN))
    }

    fn give(&mut self) -> T {
        self.value.take().expect(GIVEN)
    }

    fn opaque(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> T {
        self.lend()
    }
}
