//! The fields of a derived type: moved where they hold tensors, cloned otherwise. Chosen by method resolution, as in
//! [`argument`](super::argument).

use std::marker::PhantomData;

use super::migrate::{Migrate, Moves, Rebuild, Visitor, VisitorMut};

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
///
/// ```compile_fail
/// #[derive(backstop::Migrate)]
/// struct Batch {
///     weights: &'static tch::Tensor,
/// }
/// ```
pub trait FieldBorrowed<'a, T> {
    /// Never available.
    fn visit(&self, value: &&'a T, visitor: &mut Visitor<'_>)
    where
        &'a T: Held;

    /// Never available.
    fn visit_mut(&self, value: &mut &'a T, visitor: &mut VisitorMut<'_>)
    where
        &'a T: Held;

    /// Never available.
    fn rebuild(&self, value: &&'a T, moves: &mut Moves<'_>) -> &'a T
    where
        &'a T: Held;
}

impl<'a, T: Migrate> FieldBorrowed<'a, T> for &Field<&'a T> {
    fn visit(&self, _: &&'a T, _: &mut Visitor<'_>)
    where
        &'a T: Held,
    {
    }

    fn visit_mut(&self, _: &mut &'a T, _: &mut VisitorMut<'_>)
    where
        &'a T: Held,
    {
    }

    fn rebuild(&self, value: &&'a T, _: &mut Moves<'_>) -> &'a T
    where
        &'a T: Held,
    {
        value
    }
}

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` in a struct cannot be moved: the struct would have to own the copy",
    label = "borrows tensors",
    note = "hold the value itself (`shallow_clone` of a tensor costs nothing), or pass the reference as an argument of its own"
)]
pub trait Held {}

/// A field without tensors.
pub trait FieldCloned<T> {
    /// Nothing to show.
    fn visit(&self, _: &T, _: &mut Visitor<'_>) {}

    /// Nothing to show.
    fn visit_mut(&self, _: &mut T, _: &mut VisitorMut<'_>) {}

    /// A clone.
    fn rebuild(&self, value: &T, moves: &mut Moves<'_>) -> T
    where
        T: FieldStuck;
}

impl<T> FieldCloned<T> for Field<T> {
    fn rebuild(&self, value: &T, _: &mut Moves<'_>) -> T
    where
        T: FieldStuck,
    {
        value.clone_field()
    }
}

/// A field that can be cloned.
///
/// ```compile_fail,E0277
/// #[derive(backstop::Migrate)]
/// struct Agent {
///     weights: tch::Tensor,
///     lock: std::sync::Mutex<u64>,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` neither holds tensors that can be moved nor can be cloned",
    label = "has neither `Migrate` nor `Clone`",
    note = "mark the field `#[migrate(skip)]`: the struct can then be lent to `#[safe_mps_op]` functions by `&mut` only"
)]
pub trait FieldStuck {
    /// A clone.
    #[must_use]
    fn clone_field(&self) -> Self;
}

impl<T: Clone> FieldStuck for T {
    fn clone_field(&self) -> Self {
        self.clone()
    }
}
