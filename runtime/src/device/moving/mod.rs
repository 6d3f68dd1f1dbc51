//! One migration: what was moved where, and the way back.
//!
//! Tensors that need no gradient and share memory move as one flat copy of that memory and are cut out of it again, so that
//! aliases stay aliases and views keep their strides. Tensors that need a gradient move one by one and differentiably: what
//! is computed from the copies sends its gradients to the originals.

mod copies;
mod exchange;
mod gradient;
mod home;
mod homeward;
mod leaf;
mod stores;
mod stretch;
mod write;

#[cfg(test)]
mod tests;

use copies::{Copies, Moved};
pub(crate) use exchange::{Exchange, Return};
use home::Landed;
use homeward::Homeward;
use stores::Twin;
use stretch::Member;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};

use super::migrate::{Moves, Seen, Visitor};
use super::torch::{self, Device, Layout, TchError, Tensor, VarStore};

/// Who trains the parameters among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// Somebody else, from the gradients that reach the originals.
    Elsewhere,
    /// Perhaps the body itself: no optimizer can be reached, and nothing that is computed from the copies outlives it. What is lent by `&mut`
    /// is then copied as a leaf that has the original's gradient, and what becomes of that is brought home.
    ByHand,
    /// An optimizer that arguments may hide: it would change originals meanwhile, which the copies do not follow.
    Perhaps,
    /// An optimizer among the arguments, likewise.
    Inside,
}

/// All that one fallback has moved.
pub struct Migration {
    origin: Device,
    target: Device,
    copies: Copies,
    /// The storages that were on the target already: their tensors are passed as they are, and are no results to send home.
    untouched: HashSet<usize>,
    /// Whether an argument names the origin, where the body would have made tensors.
    names_origin: bool,
    /// Whether a part of the result was computed, on the CPU, from what needs a gradient.
    begun: Cell<bool>,
    /// The stores and their copies.
    twins: RefCell<Vec<Twin>>,
    /// Where the copies are, as the attempt has left them.
    landed: OnceCell<Landed>,
    /// What the body made, on its way to the origin.
    homeward: RefCell<Homeward>,
}

impl Migration {
    /// Moves all tensors that `visit` shows and `chosen` takes from `origin` to `target`.
    ///
    /// # Errors
    ///
    /// The first copy that failed; the originals are as they were.
    pub(crate) fn new(
        origin: Device,
        target: Device,
        steps: Steps,
        chosen: impl Fn(&Tensor) -> bool,
        visit: impl FnOnce(&mut Visitor<'_>),
    ) -> Result<Self, TchError> {
        let (mut members, mut untouched, mut names_origin): (Vec<Member>, _, _) = (Vec::new(), HashSet::new(), false);
        let (mut numbers, mut stored) = (HashMap::new(), HashSet::new());
        visit(&mut Visitor::new(&mut |whose, seen| {
            names_origin |= matches!(seen, Seen::Device(device) if device == origin);
            if let Seen::Store(store) = seen {
                stored.extend(stores::variables(store).iter().map(torch::identity));
            }
            let Some((tensor, buffer)) = seen.tensor().filter(|(tensor, _)| tensor.defined()) else { return };
            if !chosen(tensor) {
                untouched.extend(Layout::of(tensor).map(|layout| layout.root));
                return;
            }
            let number = *numbers.entry(torch::identity(tensor)).or_insert_with(|| {
                members.push(Member::new(tensor));
                members.len() - 1
            });
            members[number].buffer |= buffer;
            members[number].exclusive |= whose.exclusive;
        }));
        members.iter_mut().for_each(|member| member.stored = stored.contains(&member.identity));
        let mut copies = Copies::to(target);
        // A graph that was begun before the call ends in the originals.
        let begun = members.iter().any(|member| member.tracked && !member.handle.is_leaf());
        match steps {
            Steps::Inside => copies.tie(begun),
            Steps::Perhaps => copies.count(),
            Steps::ByHand if !begun && members.iter().all(Member::keeps_nothing) => copies.make_leaves(),
            Steps::ByHand | Steps::Elsewhere => {}
        }
        copies.watch(members)?;
        Ok(Self {
            origin,
            target,
            copies,
            untouched,
            names_origin,
            begun: Cell::new(false),
            twins: RefCell::default(),
            landed: OnceCell::new(),
            homeward: RefCell::new(Homeward::to(origin)),
        })
    }

    /// What `rebuild` is given: each tensor becomes its copy.
    pub(crate) fn rebuild<T>(&self, rebuild: impl FnOnce(&mut Moves<'_>) -> T) -> T {
        let mut twin = |store: &VarStore, copy: &VarStore| self.twins.borrow_mut().push(Twin::new(store, copy));
        rebuild(&mut Moves::new(self.target, &mut |tensor| self.copy_of(tensor)).telling(&mut twin))
    }

    /// The copy of a moved tensor; any other tensor is itself.
    fn copy_of(&self, tensor: &Tensor) -> Tensor {
        self.copies.of(tensor).unwrap_or_else(|| tensor.shallow_clone())
    }
}
