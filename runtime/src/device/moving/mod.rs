//! One migration: what was moved where, and the way back.
//!
//! Tensors that need no gradient and share memory move as one flat copy of that memory and are cut out of it again, so that
//! aliases stay aliases and views keep their strides. Tensors that need a gradient move one by one and differentiably: what
//! is computed from the copies sends its gradients to the originals.

mod exchange;
mod home;
mod stores;
mod stretch;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use exchange::{Exchange, Return};
use stores::Twin;
use stretch::{Member, extent, stretches};

use std::cell::{Cell, RefCell};

use super::migrate::{Moves, Seen, Visitor};
use super::opaque::Holds;
use super::torch::{self, Device, Layout, TchError, Tensor, VarStore};

/// All that one fallback has moved.
pub struct Migration {
    target: Device,
    origin: Device,
    moved: Vec<Moved>,
    /// The storages that were on the target already: their tensors are passed as they are, and are no results to send home.
    untouched: Vec<usize>,
    /// Whether an argument names the origin, where the body would have made tensors.
    names_origin: bool,
    /// Whether a part of the result was computed, on the CPU, from what needs a gradient.
    begun: Cell<bool>,
    /// The stores and their copies.
    twins: RefCell<Vec<Twin>>,
    /// Whether an optimizer may change originals meanwhile, which the copies do not follow.
    optimizer: Holds,
    /// How copies of parameters are tied to their originals where an optimizer is at hand.
    tie: Option<Tie>,
}

/// How libtorch makes a copy of a parameter that nobody can use once an optimizer has stepped on the original.
type Tie = fn(&Tensor, &Tensor) -> Result<Tensor, TchError>;

/// One moved tensor, or one stretch of memory that several tensors share.
struct Moved {
    /// On the device; a flat view of the memory where `members` are cut out of it.
    original: Tensor,
    copy: Tensor,
    members: Vec<Member>,
    /// The position of the copy's first element in the original storage.
    start: i64,
    flat: bool,
    /// Whether the copy's memory lies as that of the members does. Where it lies may change: the body may resize it.
    lies_alike: bool,
    version: Option<i64>,
    /// The original's, as the copy was made.
    original_version: Option<i64>,
    /// Whether the copy is tied to the original, so that a change of either counts for both.
    tied: bool,
    /// What the copy was, where a change of it is not counted, or not for itself.
    pristine: Option<Tensor>,
}

/// A single view that shows less than an eighth of the memory it spans is moved alone: its strides are not worth the copy.
const SPARSEST: i64 = 8;
const SMALL: i64 = 4096;

impl Migration {
    /// Moves all tensors that `visit` shows and `chosen` takes from `origin` to `target`. `optimizer`: whether one can be reached.
    ///
    /// # Errors
    ///
    /// The first copy that failed; the originals are as they were.
    pub(crate) fn new(
        origin: Device,
        target: Device,
        optimizer: Holds,
        chosen: impl Fn(&Tensor) -> bool,
        visit: impl FnOnce(&mut Visitor<'_>),
    ) -> Result<Self, TchError> {
        let mut migration = Self {
            target,
            origin,
            moved: Vec::new(),
            untouched: Vec::new(),
            names_origin: false,
            begun: Cell::new(false),
            twins: RefCell::default(),
            optimizer,
            tie: None,
        };
        let mut members: Vec<Member> = Vec::new();
        visit(&mut Visitor::new(&mut |_, seen| {
            migration.names_origin |= matches!(seen, Seen::Device(device) if device == origin);
            let Some((tensor, buffer)) = seen.tensor().filter(|(tensor, _)| tensor.defined()) else { return };
            if !chosen(tensor) {
                migration.untouched.extend(Layout::of(tensor).map(|layout| layout.root));
                return;
            }
            match members.iter_mut().find(|member| member.identity == torch::identity(tensor)) {
                Some(member) => member.buffer |= buffer,
                None => members.push(Member::new(tensor, buffer)),
            }
        }));
        if optimizer == Holds::Surely {
            // A graph that was begun on the device would not survive that tying counts as a change.
            let begun = members.iter().any(|member| member.tracked && !member.handle.is_leaf());
            migration.tie = Some(if begun { torch::tied_once } else { torch::tied });
        }
        let (single, shared): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| member.tracked || member.layout.is_none());
        single.into_iter().try_for_each(|member| migration.move_alone(member))?;
        stretches(shared).into_iter().try_for_each(|stretch| migration.move_stretch(stretch))?;
        Ok(migration)
    }

    fn move_alone(&mut self, member: Member) -> Result<(), TchError> {
        let copy = torch::copy_to(&member.handle, self.target)?;
        let start = member.layout.as_ref().map_or(0, |layout| layout.offset);
        let original = member.handle.shallow_clone();
        self.push(original, copy, vec![member], start, false)
    }

    fn move_stretch(&mut self, stretch: Vec<Member>) -> Result<(), TchError> {
        let Some((start, end)) = extent(&stretch) else { return Ok(()) };
        let shown: i64 = stretch.iter().filter_map(|member| member.layout.as_ref()).map(Layout::elements).sum();
        let alone = stretch.len() == 1 && (end - start == shown || end - start > SPARSEST * shown + SMALL);
        if alone {
            return stretch.into_iter().try_for_each(|member| self.move_alone(member));
        }
        let flat = torch::without_gradients(|| stretch[0].handle.f_detach()?.f_as_strided([end - start], [1], start))?;
        let copy = torch::copy_to(&flat, self.target)?;
        self.push(flat, copy, stretch, start, true)
    }

    fn push(&mut self, original: Tensor, copy: Tensor, members: Vec<Member>, start: i64, flat: bool) -> Result<(), TchError> {
        let tie = self.tie.filter(|_| torch::is_trained_leaf(&original) && torch::requires_grad(&copy));
        let uncounted = members.iter().any(Member::may_change_uncounted);
        let (copy, pristine) = match tie {
            Some(tie) => (tie(&copy, &original)?, Some(copy.f_detach()?)),
            None if uncounted => (copy.shallow_clone(), Some(torch::duplicate(&copy)?)),
            None => (copy, None),
        };
        let lies_alike =
            |of: &Layout| flat || members.iter().all(|member| member.layout.as_ref().is_some_and(|own| own.stride == of.stride));
        let lies_alike = Layout::of(&copy).as_ref().is_some_and(lies_alike);
        let (version, original_version) = (torch::version(&copy), torch::version(&original));
        self.moved.push(Moved {
            original,
            copy,
            members,
            start,
            flat,
            lies_alike,
            version,
            original_version,
            tied: tie.is_some(),
            pristine,
        });
        Ok(())
    }

    /// What `rebuild` is given: each tensor becomes its copy.
    pub(crate) fn rebuild<T>(&self, rebuild: impl FnOnce(&mut Moves<'_>) -> T) -> T {
        let mut twin = |store: &VarStore, copy: &VarStore| self.twins.borrow_mut().push(Twin::new(store, copy));
        rebuild(&mut Moves::new(Some(self.target), &mut |tensor| self.copy_of(tensor)).telling(&mut twin))
    }

    /// The copy of a moved tensor; any other tensor is itself.
    fn copy_of(&self, tensor: &Tensor) -> Tensor {
        let identity = torch::identity(tensor);
        let found = self
            .moved
            .iter()
            .find_map(|moved| moved.members.iter().find(|member| member.identity == identity).map(|member| (moved, member)));
        match found {
            Some((moved, Member { layout: Some(layout), .. })) if moved.flat => {
                torch::without_gradients(|| moved.copy.as_strided(&layout.size, &layout.stride, layout.offset - moved.start))
            }
            Some((moved, _)) => moved.copy.shallow_clone(),
            None => tensor.shallow_clone(),
        }
    }
}
