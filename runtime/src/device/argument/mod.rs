//! The arguments of one call: lent to the first attempt as they are, to the attempt on the CPU as copies.
//!
//! [`choose`] says how an argument of a type is held, [`tensors`] and [`others`] hold it, [`bound`] what the result may borrow from;
//! [`written`] says which types the expansion must see.

mod bound;
mod choose;
mod others;
mod tensors;
mod written;

pub use bound::Bind;
pub use choose::*;
pub use written::{AsWritten, as_written};

use super::migrate::{SeenMut, Visitor, VisitorMut, place};
use super::moving::{Exchange, Migration, Return};
use super::torch::Tensor;
use super::tuples::each_tuple;

/// Why a by-value argument is there when it is lent.
const GIVEN: &str = "an argument is given away only by a call that has one attempt";

/// What the body is given while an argument (or all of them) is borrowed for `'x`.
///
/// No bound says that the value outlives `'x`: in a future that is sent between threads the compiler forgets such bounds. Hence
/// [`Migrate`](super::migrate::Migrate) is `'static`, and [`Mut`](others::Mut) lends for longer than it is borrowed.
pub trait LendAt<'x> {
    /// What the body is given.
    type Lent;
}

/// What the body is given.
pub type Lent<'x, A> = <A as LendAt<'x>>::Lent;

/// One argument.
pub trait Argument: for<'x> LendAt<'x> {
    /// Where the copy lives while it is lent.
    type Copy: Default;

    /// The argument itself; by-value arguments keep what a second attempt needs.
    fn lend(&mut self) -> Lent<'_, Self>;

    /// The argument itself, for a call that has only one attempt.
    fn give(&mut self) -> Lent<'_, Self> {
        self.lend()
    }

    /// Shows the tensors.
    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    /// Shows the places of `&mut` arguments.
    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}

    /// Whether the result may borrow from it in a way that a copy does not allow: then there is no second attempt.
    fn is_bound(&self) -> bool {
        false
    }

    /// The type's name, where it may hold tensors that it does not show.
    fn opaque(&self) -> Option<&'static str> {
        None
    }

    /// The type's name, where it is one with tensors.
    fn shown(&self) -> Option<&'static str> {
        None
    }

    /// The copy; what [`visit_mut`](Self::visit_mut) shows was exchanged before.
    fn lend_copy<'x>(&'x mut self, copy: &'x mut Self::Copy, migration: &Migration) -> Lent<'x, Self>;
}

/// All arguments of a function: a tuple.
pub trait Arguments: for<'x> LendAt<'x> {
    /// Where the copies live while they are lent.
    type Copies: Default;

    /// The arguments themselves.
    fn lend(&mut self) -> Lent<'_, Self>;

    /// The arguments themselves, for a call that has only one attempt.
    fn give(&mut self) -> Lent<'_, Self>;

    /// Shows the tensors.
    fn visit(&self, visitor: &mut Visitor<'_>);

    /// Shows the places of `&mut` arguments.
    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>);

    /// The number of the first that [is bound](Argument::is_bound).
    fn bound(&self) -> Option<usize>;

    /// Shows the numbers and types of those that [may hide tensors](Argument::opaque).
    fn opaque(&self, each: &mut dyn FnMut(usize, &'static str));

    /// Shows the types of those that have tensors.
    fn shown(&self, each: &mut dyn FnMut(&'static str));

    /// The copies.
    fn lend_copies<'x>(&'x mut self, copies: &'x mut Self::Copies, migration: &Migration) -> Lent<'x, Self>;
}

/// Shows every handle that stands in a place of what is lent by `&mut`.
pub(crate) fn each_place<A: Arguments>(arguments: &mut A, mut each: impl FnMut(&mut Tensor)) {
    arguments.visit_mut(&mut VisitorMut::new(&mut |seen| {
        if let SeenMut::Tensor(tensor) = seen {
            each(tensor);
        }
    }));
}

/// Puts the copies in the place of what is lent by `&mut`.
pub(crate) fn exchange<A: Arguments>(arguments: &mut A, migration: &Migration) -> Exchange {
    let mut exchange = Exchange::default();
    arguments.visit_mut(&mut VisitorMut::new(&mut |seen| exchange.enter(seen, migration)));
    exchange
}

/// The way back of [`exchange`].
pub(crate) fn put_back<A: Arguments>(arguments: &mut A, exchange: Exchange, migration: &Migration, kept: bool) {
    let mut places = Vec::new();
    each_place(arguments, |tensor| places.push(place(tensor)));
    let mut back = Return::new(exchange, &places);
    arguments.visit_mut(&mut VisitorMut::new(&mut |seen| back.leave(seen, migration, kept)));
}

macro_rules! arguments {
    ($(($name:ident $index:tt))*) => {
        impl<'x, $($name: LendAt<'x>),*> LendAt<'x> for ($($name,)*) {
            type Lent = ($(Lent<'x, $name>,)*);
        }

        #[allow(unused_variables, clippy::unused_unit)]
        impl<$($name: Argument),*> Arguments for ($($name,)*) {
            type Copies = ($($name::Copy,)*);

            fn lend(&mut self) -> Lent<'_, Self> {
                ($(self.$index.lend(),)*)
            }

            fn give(&mut self) -> Lent<'_, Self> {
                ($(self.$index.give(),)*)
            }

            fn visit(&self, visitor: &mut Visitor<'_>) {
                $(self.$index.visit(visitor.argument($index));)*
            }

            fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
                $(self.$index.visit_mut(visitor);)*
            }

            fn bound(&self) -> Option<usize> {
                $(if self.$index.is_bound() {
                    return Some($index);
                })*
                None
            }

            fn opaque(&self, each: &mut dyn FnMut(usize, &'static str)) {
                $(self.$index.opaque().into_iter().for_each(|name| each($index, name));)*
            }

            fn shown(&self, each: &mut dyn FnMut(&'static str)) {
                $(self.$index.shown().into_iter().for_each(|name| each(name));)*
            }

            fn lend_copies<'x>(&'x mut self, copies: &'x mut Self::Copies, migration: &Migration) -> Lent<'x, Self> {
                ($(self.$index.lend_copy(&mut copies.$index, migration),)*)
            }
        }
    };
}

arguments! {}
each_tuple!(arguments);
