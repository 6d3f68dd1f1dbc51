//! The fields of a derived type: moved where they hold tensors, cloned otherwise. Chosen by method resolution, as in
//! [`argument`](super::argument).

use std::marker::PhantomData;

use super::migrate::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
use super::opaque;
use crate::otherwise::{Cloned, Never, Otherwise};

/// The type of a field.
pub struct Field<T>(PhantomData<fn() -> T>);

/// Asks how a field is treated: `(&&&field(&self.net)).visit(&self.net, visitor)`.
pub fn field<T>(_: &T) -> Field<T> {
    Field(PhantomData)
}

/// A field that holds tensors.
pub trait FieldMoved<T> {
    /// As [`Migrate::visit`].
    fn visit(&self, value: &T, visitor: &mut Visitor<'_>);

    /// As [`Migrate::visit_mut`].
    fn visit_mut(&self, value: &mut T, visitor: &mut VisitorMut<'_>);

    /// As [`Rebuild::rebuild`].
    fn rebuild(&self, value: &T, moves: &mut Moves<'_>) -> T
    where
        T: Rebuild;
}

impl<T: Migrate> FieldMoved<T> for &&Field<T> {
    fn visit(&self, value: &T, visitor: &mut Visitor<'_>) {
        value.visit(visitor);
    }

    fn visit_mut(&self, value: &mut T, visitor: &mut VisitorMut<'_>) {
        value.visit_mut(visitor);
    }

    fn rebuild(&self, value: &T, moves: &mut Moves<'_>) -> T
    where
        T: Rebuild,
    {
        value.rebuild(moves)
    }
}

/// A reference to tensors inside a struct: nothing could own the copies.
pub trait FieldBorrowed<T> {
    /// Never available.
    fn visit(&self, _: &T, _: &mut Visitor<'_>)
    where
        T: Held,
    {
    }

    /// Not refused once more.
    fn visit_mut(&self, _: &mut T, _: &mut VisitorMut<'_>) {}

    /// Not refused once more.
    fn rebuild(&self, value: &T, _: &mut Moves<'_>) -> T
    where
        T: Copy,
    {
        *value
    }
}

impl<'a, T: Migrate> FieldBorrowed<&'a T> for &Field<&'a T> {}

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` in a struct cannot be moved, because the struct would have to own the copy: hold the value itself",
    label = "borrows tensors",
    note = "`shallow_clone` of a tensor copies no data; or pass the reference as an argument of its own"
)]
pub trait Held {}

/// A field without tensors.
pub trait FieldCloned<T> {
    /// Nothing to show, unless it may share an optimizer.
    fn visit(&self, _: &T, visitor: &mut Visitor<'_>) {
        if opaque::may_share_an_optimizer(std::any::type_name::<T>()) {
            visitor.skipped::<T>();
        }
    }

    /// Nothing to show.
    fn visit_mut(&self, _: &mut T, _: &mut VisitorMut<'_>) {}

    /// A clone.
    fn rebuild<M>(&self, value: &T, _: &mut Moves<'_>) -> T
    where
        T: FieldStuck<M>,
    {
        value.clone_field()
    }
}

impl<T> FieldCloned<T> for Field<T> {}

/// A field that can be cloned.
#[diagnostic::on_unimplemented(
    message = "`{Self}` neither holds tensors that can be moved nor can be cloned: mark the field `#[migrate(skip)]`",
    label = "has neither `Migrate` nor `Clone`",
    note = "a struct with such a field can be lent to `#[safe_mps_op]` functions by `&mut` only"
)]
pub trait FieldStuck<M> {
    /// A clone.
    #[must_use]
    fn clone_field(&self) -> Self;
}

impl<T: Clone> FieldStuck<Cloned> for T {
    fn clone_field(&self) -> Self {
        self.clone()
    }
}

impl<T: Never> FieldStuck<Otherwise> for T {
    fn clone_field(&self) -> Self {
        self.never()
    }
}
