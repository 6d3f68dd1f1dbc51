//! What can be moved: the trait, and the containers.
//!
//! Every tensor is visited before any is rebuilt, so that those that share memory can be found. Knows nothing of devices:
//! `moving` decides what a tensor becomes.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::torch::{Device, Kind, Tensor, VarStore};

/// A value whose tensors `#[safe_mps_op]` can move to the CPU and back. Made by `#[derive(Migrate)]`.
///
/// By hand, each method calls the same method of every field that holds tensors, always in the same order:
///
/// ```no_run
/// use backstop::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
/// use tch::Tensor;
///
/// struct Batch {
///     prices: Tensor,
///     symbol: String,
/// }
///
/// impl Migrate for Batch {
///     fn visit(&self, visitor: &mut Visitor<'_>) {
///         self.prices.visit(visitor);
///     }
///     fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
///         self.prices.visit_mut(visitor);
///     }
/// }
///
/// impl Rebuild for Batch {
///     fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
///         Batch { prices: self.prices.rebuild(moves), symbol: self.symbol.clone() }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say where its tensors are",
    label = "has no `Migrate`",
    note = "add `#[derive(backstop::Migrate)]` to the type; a type without tensors needs only `Clone`"
)]
pub trait Migrate: 'static {
    /// Shows every tensor.
    fn visit(&self, visitor: &mut Visitor<'_>);

    /// Shows every tensor, store and device so that it can be replaced for the length of a call. What is shared (`Arc`, `Rc`)
    /// is shown only while nobody else holds it.
    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>);
}

/// A value that can be made anew with other tensors: what a function takes by `&T` or by value must be one.
///
/// `#[derive(Migrate)]` implements it too, unless a field is marked `#[migrate(skip)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be copied to the CPU",
    label = "has `Migrate`, but not `Rebuild`",
    note = "it holds a field marked `#[migrate(skip)]`: take the value by `&mut`, or take the fields that the function needs"
)]
pub trait Rebuild: Migrate {
    /// The same value with every tensor replaced; everything else is cloned.
    #[must_use]
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self
    where
        Self: Sized;
}

/// What a [`Migrate`] value shows.
#[derive(Debug)]
pub enum Seen<'t> {
    /// A tensor whose changes are counted by libtorch.
    Tensor(&'t Tensor),
    /// A tensor that libtorch changes without counting: running statistics.
    Buffer(&'t Tensor),
    /// A store; its variables follow.
    Store(&'t VarStore),
    /// A device on which the function will make tensors.
    Device(Device),
}

/// Is shown every tensor of a value: see [`Migrate::visit`].
pub struct Visitor<'v>(&'v mut dyn FnMut(Seen<'_>));

impl<'v> Visitor<'v> {
    pub(crate) fn new(each: &'v mut dyn FnMut(Seen<'_>)) -> Self {
        Self(each)
    }

    /// Shows a tensor that the function may change without libtorch counting it, such as the running statistics of a
    /// normalisation layer: it is compared instead.
    pub fn buffer(&mut self, tensor: &Tensor) {
        (self.0)(Seen::Buffer(tensor));
    }
}

/// What a [`Migrate`] value shows to be replaced.
#[derive(Debug)]
pub enum SeenMut<'t> {
    Tensor(&'t mut Tensor),
    /// A store as a whole: optimizers hold its variables, so these are never replaced one by one.
    Store(&'t mut VarStore),
    Device(&'t mut Device),
}

/// Is shown every place of a value that can be replaced: see [`Migrate::visit_mut`].
pub struct VisitorMut<'v>(&'v mut dyn FnMut(SeenMut<'_>));

impl<'v> VisitorMut<'v> {
    pub(crate) fn new(each: &'v mut dyn FnMut(SeenMut<'_>)) -> Self {
        Self(each)
    }
}

/// Says what each tensor becomes: see [`Rebuild::rebuild`].
pub struct Moves<'m> {
    tensor: &'m mut dyn FnMut(&Tensor) -> Tensor,
    device: Option<Device>,
}

impl<'m> Moves<'m> {
    /// `device` replaces the devices that a value names; `None` leaves them.
    pub(crate) fn new(device: Option<Device>, tensor: &'m mut dyn FnMut(&Tensor) -> Tensor) -> Self {
        Self { tensor, device }
    }
}

impl std::fmt::Debug for Visitor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Visitor")
    }
}

impl std::fmt::Debug for VisitorMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VisitorMut")
    }
}

impl std::fmt::Debug for Moves<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Moves")
    }
}

impl Migrate for Tensor {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (visitor.0)(Seen::Tensor(self));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        (visitor.0)(SeenMut::Tensor(self));
    }
}

impl Rebuild for Tensor {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        (moves.tensor)(self)
    }
}

/// A device that is passed along is replaced too: a function that makes tensors "over there" makes them on the CPU.
impl Migrate for Device {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (visitor.0)(Seen::Device(*self));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        (visitor.0)(SeenMut::Device(self));
    }
}

impl Rebuild for Device {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        if *self == Device::Cpu { *self } else { moves.device.unwrap_or(*self) }
    }
}

/// The rebuilt store has the same names; its variables are differentiable copies, so gradients reach the originals.
impl Migrate for VarStore {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (visitor.0)(Seen::Store(self));
        let variables = self.variables_.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut names: Vec<_> = variables.named_variables.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        for (name, tensor) in names {
            if is_running_statistic(name) { visitor.buffer(tensor) } else { tensor.visit(visitor) }
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        (visitor.0)(SeenMut::Store(self));
    }
}

impl Rebuild for VarStore {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        let mut store = VarStore::new(moves.device.unwrap_or(self.device()));
        store.set_kind(self.kind());
        let from = self.variables_.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // tch does not export the type of a trainable variable: empty ones are made, and are given the tensors.
        for variable in &from.trainable_variables {
            let _ = store.root().set_group(variable.group).zeros("copy", &[0]);
        }
        {
            let mut to = store.variables_.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            to.named_variables = from.named_variables.iter().map(|(name, tensor)| (name.clone(), tensor.rebuild(moves))).collect();
            for (to, from) in to.trainable_variables.iter_mut().zip(&from.trainable_variables) {
                to.tensor = from.tensor.rebuild(moves);
            }
        }
        store
    }
}

/// The names that `tch::nn::batch_norm*` gives to what it changes without a trace.
fn is_running_statistic(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("running_mean" | "running_var"))
}

impl<T: Migrate> Migrate for Option<T> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.iter().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.iter_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<T: Rebuild> Rebuild for Option<T> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.as_ref().map(|value| value.rebuild(moves))
    }
}

impl<T: Migrate, E: 'static> Migrate for Result<T, E> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.iter().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.iter_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<T: Rebuild, E: Clone + 'static> Rebuild for Result<T, E> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.as_ref().map(|value| value.rebuild(moves)).map_err(Clone::clone)
    }
}

impl<T: Migrate, const N: usize> Migrate for [T; N] {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.iter().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.iter_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<T: Rebuild, const N: usize> Rebuild for [T; N] {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.each_ref().map(|value| value.rebuild(moves))
    }
}

impl<T: Migrate> Migrate for Vec<T> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.iter().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.iter_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<T: Rebuild> Rebuild for Vec<T> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.iter().map(|value| value.rebuild(moves)).collect()
    }
}

impl<K: Clone + Eq + Hash + 'static, V: Migrate, S: BuildHasher + Clone + 'static> Migrate for HashMap<K, V, S> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.values().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.values_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<K: Clone + Eq + Hash + 'static, V: Rebuild, S: BuildHasher + Clone + 'static> Rebuild for HashMap<K, V, S> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        let mut map = HashMap::with_capacity_and_hasher(self.len(), self.hasher().clone());
        map.extend(self.iter().map(|(key, value)| (key.clone(), value.rebuild(moves))));
        map
    }
}

impl<K: Clone + Ord + 'static, V: Migrate> Migrate for BTreeMap<K, V> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.values().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.values_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<K: Clone + Ord + 'static, V: Rebuild> Rebuild for BTreeMap<K, V> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.iter().map(|(key, value)| (key.clone(), value.rebuild(moves))).collect()
    }
}

macro_rules! pointers {
    ($($pointer:ident: |$this:ident| $inner:expr;)*) => {$(
        impl<T: Migrate> Migrate for $pointer<T> {
            fn visit(&self, visitor: &mut Visitor<'_>) {
                (**self).visit(visitor);
            }

            fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
                let $this = self;
                let inner: Option<&mut T> = $inner;
                if let Some(value) = inner {
                    value.visit_mut(visitor);
                }
            }
        }

        impl<T: Rebuild> Rebuild for $pointer<T> {
            fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
                $pointer::new((**self).rebuild(moves))
            }
        }
    )*};
}

pointers! {
    Box: |this| Some(&mut **this);
    Arc: |this| Arc::get_mut(this);
    Rc: |this| Rc::get_mut(this);
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))*) => {$(
        impl<$($name: Migrate),+> Migrate for ($($name,)+) {
            fn visit(&self, visitor: &mut Visitor<'_>) {
                $(self.$index.visit(visitor);)+
            }

            fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
                $(self.$index.visit_mut(visitor);)+
            }
        }

        impl<$($name: Rebuild),+> Rebuild for ($($name,)+) {
            fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
                ($(self.$index.rebuild(moves),)+)
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// Values without tensors, so that they may stand beside tensors in tuples and containers.
macro_rules! plain {
    ($($plain:ty),* $(,)?) => {$(
        impl Migrate for $plain {
            fn visit(&self, _: &mut Visitor<'_>) {}

            fn visit_mut(&mut self, _: &mut VisitorMut<'_>) {}
        }

        impl Rebuild for $plain {
            fn rebuild(&self, _: &mut Moves<'_>) -> Self {
                self.clone()
            }
        }
    )*};
}

plain! {
    (), bool, char, f32, f64, i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, String, Duration, Kind,
}
