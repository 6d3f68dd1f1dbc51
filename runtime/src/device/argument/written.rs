//! Arguments whose types are not written as references: none of them may be a `&mut` to something without tensors.

use super::Argument;
use super::others::{Cloned, Ref};
use super::tensors::{Exclusive, OptionalMut, OptionalRef, Owned, RefSlice, Shared, Slice, SliceMut};
use crate::device::migrate::{Migrate, Rebuild};

/// The argument, where the expansion could hold it without lending it again.
pub fn as_written<H: AsWritten>(held: H) -> H {
    held
}

/// Every way to hold an argument but `Mut`, which lends for longer than an attempt: that nothing keeps it is proved
/// by a reborrow, and the expansion makes one only of what is written as `&mut`.
#[diagnostic::on_unimplemented(
    message = "this argument is a `&mut` by another name: write its type as `&mut …` in the signature",
    label = "is a `&mut` that `#[safe_mps_op]` cannot see",
    note = "every attempt lends it again; that no attempt keeps it can be proved only of what is written as `&mut`"
)]
pub trait AsWritten: Argument {}

impl<T: Rebuild> AsWritten for Shared<'_, T> {}
impl<T: Rebuild> AsWritten for Slice<'_, T> {}
impl<T: Rebuild> AsWritten for RefSlice<'_, '_, T> {}
impl<T: Rebuild> AsWritten for OptionalRef<'_, T> {}
impl<T: Rebuild> AsWritten for Owned<T> {}
impl<T: Migrate> AsWritten for Exclusive<'_, T> {}
impl<T: Migrate> AsWritten for SliceMut<'_, T> {}
impl<T: Migrate> AsWritten for OptionalMut<'_, T> {}
impl<T: ?Sized> AsWritten for Ref<'_, T> {}
impl<T> AsWritten for Cloned<T> {}
