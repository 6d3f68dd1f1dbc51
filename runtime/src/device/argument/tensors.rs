//! Arguments that hold tensors.

use std::any::type_name;

use super::{Argument, GIVEN, LendAt, Lent};
use crate::device::migrate::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
use crate::device::moving::Migration;

/// A tensor argument by `&`: the body is lent the copy.
pub struct Shared<'a, T>(pub(super) &'a T);

impl<'x, T: Rebuild> LendAt<'x> for Shared<'_, T> {
    type Lent = &'x T;
}

impl<T: Rebuild> Argument for Shared<'_, T> {
    type Copy = Option<T>;

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    #[inline]
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.visit(visitor);
    }

    fn shown(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, copy: &'x mut Self::Copy, migration: &Migration) -> Lent<'x, Self> {
        copy.insert(migration.rebuild(|moves| self.0.rebuild(moves)))
    }
}

/// A tensor argument by `&mut`: the copies stand in its places during the attempt.
pub struct Exclusive<'a, T>(pub(super) &'a mut T);

impl<'x, T: Migrate> LendAt<'x> for Exclusive<'_, T> {
    type Lent = &'x mut T;
}

impl<T: Migrate> Argument for Exclusive<'_, T> {
    type Copy = ();

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.visit(visitor.exclusive());
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.0.visit_mut(visitor);
    }

    fn shown(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> Lent<'x, Self> {
        self.0
    }
}

/// A slice of tensors.
pub struct Slice<'a, T>(pub(super) &'a [T]);

impl<'x, T: Rebuild> LendAt<'x> for Slice<'_, T> {
    type Lent = &'x [T];
}

impl<T: Rebuild> Argument for Slice<'_, T> {
    type Copy = Vec<T>;

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().for_each(|value| value.visit(visitor));
    }

    fn shown(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, copy: &'x mut Self::Copy, migration: &Migration) -> Lent<'x, Self> {
        *copy = migration.rebuild(|moves| self.0.iter().map(|value| value.rebuild(moves)).collect());
        copy
    }
}

/// A slice of tensors by `&mut`.
pub struct SliceMut<'a, T>(pub(super) &'a mut [T]);

impl<'x, T: Migrate> LendAt<'x> for SliceMut<'_, T> {
    type Lent = &'x mut [T];
}

impl<T: Migrate> Argument for SliceMut<'_, T> {
    type Copy = ();

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().for_each(|value| value.visit(visitor.exclusive()));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.0.iter_mut().for_each(|value| value.visit_mut(visitor));
    }

    fn shown(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> Lent<'x, Self> {
        self.0
    }
}

/// A slice of references to tensors.
pub struct RefSlice<'a, 'b, T>(pub(super) &'a [&'b T]);

/// The copies of a [`RefSlice`], and where they are.
pub struct RefCopies<T> {
    values: Vec<T>,
    addresses: Vec<Address<T>>,
}

/// The address of one of the `values` beside it.
#[repr(transparent)]
struct Address<T>(std::ptr::NonNull<T>);

// SAFETY: an address is only ever used as a shared reference, and only beside the values that it points to.
unsafe impl<T: Send + Sync> Send for Address<T> {}

impl<T> Default for RefCopies<T> {
    fn default() -> Self {
        Self { values: Vec::new(), addresses: Vec::new() }
    }
}

impl<'x, T: Rebuild> LendAt<'x> for RefSlice<'_, '_, T> {
    type Lent = &'x [&'x T];
}

impl<T: Rebuild> Argument for RefSlice<'_, '_, T> {
    type Copy = RefCopies<T>;

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().for_each(|value| value.visit(visitor));
    }

    fn shown(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, copy: &'x mut Self::Copy, migration: &Migration) -> Lent<'x, Self> {
        copy.values = migration.rebuild(|moves| self.0.iter().map(|value| value.rebuild(moves)).collect());
        copy.addresses = copy.values.iter().map(|value| Address(value.into())).collect();
        // SAFETY: `Address` is one non-null pointer, as a reference is, and each points to a value that is borrowed, unmoved and
        // unchanged, for `'x` with the list.
        unsafe { std::slice::from_raw_parts(copy.addresses.as_ptr().cast::<&'x T>(), copy.addresses.len()) }
    }
}

/// `Option<&T>`.
pub struct OptionalRef<'a, T>(pub(super) Option<&'a T>);

impl<'x, T: Rebuild> LendAt<'x> for OptionalRef<'_, T> {
    type Lent = Option<&'x T>;
}

impl<T: Rebuild> Argument for OptionalRef<'_, T> {
    type Copy = Option<T>;

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().for_each(|value| value.visit(visitor));
    }

    fn shown(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, copy: &'x mut Self::Copy, migration: &Migration) -> Lent<'x, Self> {
        *copy = migration.rebuild(|moves| self.0.map(|value| value.rebuild(moves)));
        copy.as_ref()
    }
}

/// `Option<&mut T>`.
pub struct OptionalMut<'a, T>(pub(super) Option<&'a mut T>);

impl<'x, T: Migrate> LendAt<'x> for OptionalMut<'_, T> {
    type Lent = Option<&'x mut T>;
}

impl<T: Migrate> Argument for OptionalMut<'_, T> {
    type Copy = ();

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0.as_deref_mut()
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().for_each(|value| value.visit(visitor.exclusive()));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.0.iter_mut().for_each(|value| value.visit_mut(visitor));
    }

    fn shown(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> Lent<'x, Self> {
        self.0.as_deref_mut()
    }
}

/// A tensor argument by value: each attempt gets handles of its own.
pub struct Owned<T>(pub(super) Option<T>);

impl<T: Rebuild> Owned<T> {
    fn value(&self) -> &T {
        self.0.as_ref().expect(GIVEN)
    }
}

impl<'x, T: Rebuild> LendAt<'x> for Owned<T> {
    type Lent = T;
}

impl<T: Rebuild> Argument for Owned<T> {
    type Copy = ();

    fn lend(&mut self) -> T {
        Moves::again(self.value())
    }

    fn give(&mut self) -> T {
        self.0.take().expect(GIVEN)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().for_each(|value| value.visit(visitor));
    }

    fn shown(&self) -> Option<&'static str> {
        Some(type_name::<T>())
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), migration: &Migration) -> T {
        migration.rebuild(|moves| self.value().rebuild(moves))
    }
}
