//! What can be moved: the traits, and what a visitor is shown.
//!
//! Every tensor is visited before any is rebuilt, so that those that share memory can be found. Knows nothing of devices:
//! `moving` decides what a tensor becomes.

mod containers;
mod tensors;

use super::torch::{self, Device, Tensor, VarStore};

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
    /// A field that is not shown, by the name of its type.
    Skipped(&'static str),
}

impl<'t> Seen<'t> {
    /// Where it is, or where tensors will be made.
    #[inline]
    pub(crate) fn device(&self) -> Device {
        match self {
            Seen::Tensor(tensor) | Seen::Buffer(tensor) => torch::accelerator(tensor).unwrap_or(Device::Cpu),
            Seen::Device(device) => *device,
            Seen::Store(_) | Seen::Skipped(_) => Device::Cpu,
        }
    }

    /// The tensor, and whether it may change without being counted.
    #[inline]
    pub(crate) fn tensor(self) -> Option<(&'t Tensor, bool)> {
        match self {
            Seen::Tensor(tensor) => Some((tensor, false)),
            Seen::Buffer(tensor) => Some((tensor, true)),
            Seen::Store(_) | Seen::Device(_) | Seen::Skipped(_) => None,
        }
    }
}

/// Where a handle stands.
#[inline]
pub(crate) fn place(handle: &Tensor) -> usize {
    std::ptr::from_ref(handle).addr()
}

/// Which argument of a call shows something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whose {
    /// Its number.
    pub(crate) argument: u32,
    /// Whether it is lent by `&mut`, so that the body may put other tensors there.
    pub(crate) exclusive: bool,
}

impl Whose {
    /// Where a tensor stands that is lent by `&mut`; 0 for others, which the body cannot move.
    #[inline]
    pub(crate) fn place(self, tensor: &Tensor) -> usize {
        if self.exclusive { place(tensor) } else { 0 }
    }
}

/// Is shown every tensor of a value: see [`Migrate::visit`].
pub struct Visitor<'v> {
    each: &'v mut dyn FnMut(Whose, Seen<'_>),
    whose: Whose,
}

impl<'v> Visitor<'v> {
    pub(crate) fn new(each: &'v mut dyn FnMut(Whose, Seen<'_>)) -> Self {
        Self { each, whose: Whose::default() }
    }

    /// What is shown from now on belongs to this argument.
    #[inline]
    pub(crate) fn argument(&mut self, number: u32) -> &mut Self {
        self.whose = Whose { argument: number, exclusive: false };
        self
    }

    /// What is shown from now on is lent by `&mut`.
    pub(crate) fn exclusive(&mut self) -> &mut Self {
        self.whose.exclusive = true;
        self
    }

    #[inline]
    fn show(&mut self, seen: Seen<'_>) {
        (self.each)(self.whose, seen);
    }

    /// Shows a tensor that the function may change without libtorch counting it, such as the running statistics of a
    /// normalisation layer: it is compared instead.
    pub fn buffer(&mut self, tensor: &Tensor) {
        self.show(Seen::Buffer(tensor));
    }

    /// Says that a field of this type is not shown, as `#[migrate(skip)]` does: an optimizer may be in it, whose steps cannot be undone.
    pub fn skipped<T: ?Sized>(&mut self) {
        self.show(Seen::Skipped(std::any::type_name::<T>()));
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

/// Is told of a store and its copy.
type Told<'m> = &'m mut dyn FnMut(&VarStore, &VarStore);

/// Says what each tensor becomes: see [`Rebuild::rebuild`].
pub struct Moves<'m> {
    tensor: &'m mut dyn FnMut(&Tensor) -> Tensor,
    store: Option<Told<'m>>,
    /// What the devices that a value names become; `None` leaves them, and with them all that is shared.
    device: Option<Device>,
}

impl<'m> Moves<'m> {
    /// To `device`, where a tensor becomes what `tensor` says.
    pub(crate) fn new(device: Device, tensor: &'m mut dyn FnMut(&Tensor) -> Tensor) -> Self {
        Self { tensor, store: None, device: Some(device) }
    }

    /// Another handle of the same value, over the same tensors.
    pub(crate) fn again<T: Rebuild>(value: &T) -> T {
        value.rebuild(&mut Moves { tensor: &mut |tensor| tensor.shallow_clone(), store: None, device: None })
    }

    /// Whether what others hold too stays shared with them.
    fn shares(&self) -> bool {
        self.device.is_none()
    }

    /// `store` is told of each store and its copy.
    pub(crate) fn telling(self, store: Told<'m>) -> Self {
        Self { store: Some(store), ..self }
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
