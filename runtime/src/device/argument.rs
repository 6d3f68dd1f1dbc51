//! The arguments of one call: lent to the first attempt as they are, to the attempt on the CPU as copies.
//!
//! How an argument is passed on depends on its type alone, and the expansion asks for it by method resolution: the more
//! references a `Kind…` trait is implemented behind, the earlier it is chosen. See [`of`].

use std::marker::PhantomData;

use super::migrate::{Migrate, Rebuild, Seen, SeenMut, Visitor, VisitorMut};
use super::moving::{Exchange, Migration, Return};

/// What the body is given while an argument (or all of them) is borrowed for `'x`.
///
/// No bound says that the value outlives `'x`: in a future that is sent between threads the compiler forgets such bounds. Hence
/// [`Migrate`] is `'static`, and [`Mut`] lends for longer than it is borrowed.
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

    /// Shows the tensors; the flag says whether the body may replace them (`&mut`).
    fn visit(&self, _each: &mut dyn FnMut(bool, Seen<'_>)) {}

    /// Shows the places of `&mut` arguments.
    fn visit_mut(&mut self, _each: &mut dyn FnMut(SeenMut<'_>)) {}

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

    /// Shows the tensors with the argument's number and whether it was lent by `&mut`.
    fn visit(&self, each: &mut dyn FnMut(usize, bool, Seen<'_>));

    /// Shows the places of `&mut` arguments.
    fn visit_mut(&mut self, each: &mut dyn FnMut(SeenMut<'_>));

    /// The copies.
    fn lend_copies<'x>(&'x mut self, copies: &'x mut Self::Copies, migration: &Migration) -> Lent<'x, Self>;
}

/// Puts the copies in the place of what is lent by `&mut`.
pub(crate) fn exchange<A: Arguments>(arguments: &mut A, migration: &Migration) -> Exchange {
    let mut exchange = Exchange::default();
    arguments.visit_mut(&mut |seen| exchange.enter(seen, migration));
    exchange
}

/// The way back of [`exchange`].
pub(crate) fn put_back<A: Arguments>(arguments: &mut A, exchange: Exchange, migration: &Migration, kept: bool) {
    let mut back = Return::new(exchange);
    arguments.visit_mut(&mut |seen| back.leave(seen, migration, kept));
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
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

            fn visit(&self, each: &mut dyn FnMut(usize, bool, Seen<'_>)) {
                $(self.$index.visit(&mut |exclusive, seen| each($index, exclusive, seen));)*
            }

            fn visit_mut(&mut self, each: &mut dyn FnMut(SeenMut<'_>)) {
                $(self.$index.visit_mut(each);)*
            }

            fn lend_copies<'x>(&'x mut self, copies: &'x mut Self::Copies, migration: &Migration) -> Lent<'x, Self> {
                ($(self.$index.lend_copy(&mut copies.$index, migration),)*)
            }
        }
    )*};
}

tuples! {
    ()
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11)
}

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

fn visit_one<T: Migrate + ?Sized>(value: &T, exclusive: bool, each: &mut dyn FnMut(bool, Seen<'_>)) {
    value.visit(&mut Visitor::new(&mut |seen| each(exclusive, seen)));
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

/// A tensor argument by `&`: the body is lent the copy.
pub struct Shared<'a, T>(&'a T);

impl<'x, T: Rebuild> LendAt<'x> for Shared<'_, T> {
    type Lent = &'x T;
}

impl<T: Rebuild> Argument for Shared<'_, T> {
    type Copy = Option<T>;

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, each: &mut dyn FnMut(bool, Seen<'_>)) {
        visit_one(self.0, false, each);
    }

    fn lend_copy<'x>(&'x mut self, copy: &'x mut Self::Copy, migration: &Migration) -> Lent<'x, Self> {
        copy.insert(migration.rebuild(|moves| self.0.rebuild(moves)))
    }
}

/// A tensor argument by `&mut`: the copies stand in its places during the attempt.
pub struct Exclusive<'a, T>(&'a mut T);

impl<'x, T: Migrate> LendAt<'x> for Exclusive<'_, T> {
    type Lent = &'x mut T;
}

impl<T: Migrate> Argument for Exclusive<'_, T> {
    type Copy = ();

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, each: &mut dyn FnMut(bool, Seen<'_>)) {
        visit_one(&*self.0, true, each);
    }

    fn visit_mut(&mut self, each: &mut dyn FnMut(SeenMut<'_>)) {
        self.0.visit_mut(&mut VisitorMut::new(each));
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> Lent<'x, Self> {
        self.0
    }
}

/// A slice of tensors.
pub struct Slice<'a, T>(&'a [T]);

impl<'x, T: Rebuild> LendAt<'x> for Slice<'_, T> {
    type Lent = &'x [T];
}

impl<T: Rebuild> Argument for Slice<'_, T> {
    type Copy = Vec<T>;

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, each: &mut dyn FnMut(bool, Seen<'_>)) {
        self.0.iter().for_each(|value| visit_one(value, false, each));
    }

    fn lend_copy<'x>(&'x mut self, copy: &'x mut Self::Copy, migration: &Migration) -> Lent<'x, Self> {
        *copy = migration.rebuild(|moves| self.0.iter().map(|value| value.rebuild(moves)).collect());
        copy
    }
}

/// A slice of tensors by `&mut`.
pub struct SliceMut<'a, T>(&'a mut [T]);

impl<'x, T: Migrate> LendAt<'x> for SliceMut<'_, T> {
    type Lent = &'x mut [T];
}

impl<T: Migrate> Argument for SliceMut<'_, T> {
    type Copy = ();

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, each: &mut dyn FnMut(bool, Seen<'_>)) {
        self.0.iter().for_each(|value| visit_one(value, true, each));
    }

    fn visit_mut(&mut self, each: &mut dyn FnMut(SeenMut<'_>)) {
        self.0.iter_mut().for_each(|value| value.visit_mut(&mut VisitorMut::new(each)));
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> Lent<'x, Self> {
        self.0
    }
}

/// A slice of references to tensors.
pub struct RefSlice<'a, 'b, T>(&'a [&'b T]);

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

    fn visit(&self, each: &mut dyn FnMut(bool, Seen<'_>)) {
        self.0.iter().for_each(|value| visit_one(*value, false, each));
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
pub struct OptionalRef<'a, T>(Option<&'a T>);

impl<'x, T: Rebuild> LendAt<'x> for OptionalRef<'_, T> {
    type Lent = Option<&'x T>;
}

impl<T: Rebuild> Argument for OptionalRef<'_, T> {
    type Copy = Option<T>;

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0
    }

    fn visit(&self, each: &mut dyn FnMut(bool, Seen<'_>)) {
        self.0.iter().for_each(|value| visit_one(*value, false, each));
    }

    fn lend_copy<'x>(&'x mut self, copy: &'x mut Self::Copy, migration: &Migration) -> Lent<'x, Self> {
        *copy = migration.rebuild(|moves| self.0.map(|value| value.rebuild(moves)));
        copy.as_ref()
    }
}

/// `Option<&mut T>`.
pub struct OptionalMut<'a, T>(Option<&'a mut T>);

impl<'x, T: Migrate> LendAt<'x> for OptionalMut<'_, T> {
    type Lent = Option<&'x mut T>;
}

impl<T: Migrate> Argument for OptionalMut<'_, T> {
    type Copy = ();

    fn lend(&mut self) -> Lent<'_, Self> {
        self.0.as_deref_mut()
    }

    fn visit(&self, each: &mut dyn FnMut(bool, Seen<'_>)) {
        self.0.iter().for_each(|value| visit_one(&**value, true, each));
    }

    fn visit_mut(&mut self, each: &mut dyn FnMut(SeenMut<'_>)) {
        self.0.iter_mut().for_each(|value| value.visit_mut(&mut VisitorMut::new(each)));
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> Lent<'x, Self> {
        self.0.as_deref_mut()
    }
}

/// A tensor argument by value: each attempt gets handles of its own.
pub struct Owned<T>(Option<T>);

impl<T: Rebuild> Owned<T> {
    fn value(&self) -> &T {
        self.0.as_ref().expect(GIVEN)
    }
}

const GIVEN: &str = "an argument is given away only by a call that has one attempt";

impl<'x, T: Rebuild> LendAt<'x> for Owned<T> {
    type Lent = T;
}

impl<T: Rebuild> Argument for Owned<T> {
    type Copy = ();

    fn lend(&mut self) -> T {
        self.value().rebuild(&mut super::migrate::Moves::new(None, &mut |tensor| tensor.shallow_clone()))
    }

    fn give(&mut self) -> T {
        self.0.take().expect(GIVEN)
    }

    fn visit(&self, each: &mut dyn FnMut(bool, Seen<'_>)) {
        self.0.iter().for_each(|value| visit_one(value, false, each));
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), migration: &Migration) -> T {
        migration.rebuild(|moves| self.value().rebuild(moves))
    }
}

/// A reference to something without tensors.
pub struct Ref<'a, T: ?Sized>(&'a T);

impl<'x, 'a, T: ?Sized> LendAt<'x> for Ref<'a, T> {
    type Lent = &'a T;
}

impl<'a, T: ?Sized> Argument for Ref<'a, T> {
    type Copy = ();

    fn lend(&mut self) -> &'a T {
        self.0
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> &'a T {
        self.0
    }
}

/// An exclusive reference to something without tensors.
///
/// Each attempt is lent the whole `'a`. The expansion makes the reference by reborrowing a parameter that it uses again after the call,
/// so nothing that outlives an attempt (another argument, the result) can hold it.
pub struct Mut<'a, T: ?Sized>(&'a mut T);

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

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> &'a mut T {
        self.again()
    }
}

/// A value without tensors.
pub struct Cloned<T>(Option<T>);

impl<'x, T: Again> LendAt<'x> for Cloned<T> {
    type Lent = T;
}

impl<T: Again> Argument for Cloned<T> {
    type Copy = ();

    fn lend(&mut self) -> T {
        self.0.as_ref().expect(GIVEN).again()
    }

    fn give(&mut self) -> T {
        self.0.take().expect(GIVEN)
    }

    fn lend_copy<'x>(&'x mut self, (): &'x mut (), _: &Migration) -> T {
        self.lend()
    }
}
