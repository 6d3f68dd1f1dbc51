//! Copies of tensors on another device.

use std::collections::HashMap;

use super::gradient::Noted;
use super::leaf::Leaf;
use super::stretch::{Member, extent, stretches};
use crate::device::torch::{self, Device, Layout, Passes, TchError, Tensor};

/// The copies, and what they are copies of.
pub(super) struct Copies {
    target: Device,
    pub(super) moved: Vec<Moved>,
    /// The numbers of what was moved and of its member, by the member's identity.
    places: HashMap<usize, (usize, usize)>,
    /// How copies of parameters are made where an optimizer may step on their originals.
    trained: Option<Trained>,
    /// Whether what [can be trained by hand](Member::is_trainable) is copied as a leaf.
    leaves: bool,
}

/// How a copy of a parameter is made through which passes are counted.
#[derive(Clone, Copy)]
struct Trained {
    made: fn(&Tensor, &Tensor, &Passes) -> Result<Tensor, TchError>,
    /// Whether nobody can use it once an optimizer has stepped on the original.
    tied: bool,
}

/// One moved tensor, or one stretch of memory that several tensors share.
pub(super) struct Moved {
    /// On the device; a flat view of the memory where `members` are cut out of it.
    pub(super) original: Tensor,
    pub(super) copy: Tensor,
    pub(super) members: Vec<Member>,
    /// The position of the copy's first element in the original storage.
    pub(super) start: i64,
    pub(super) flat: bool,
    /// Whether the copy's memory lies as that of the members does. Where it lies may change: the body may resize it.
    pub(super) lies_alike: bool,
    pub(super) version: Option<i64>,
    /// The original's, as the copy was made.
    pub(super) original_version: Option<i64>,
    /// How often gradients were computed through the copy, and which one the original had then, where an optimizer may step on that.
    passes: Option<(Passes, Noted)>,
    /// Whether the copy is tied to the original, so that a change of either counts for both.
    pub(super) tied: bool,
    /// What the copy was, where a change of it is not counted, or not for itself.
    pub(super) pristine: Option<Tensor>,
    /// Where the copy is a leaf with a gradient of its own.
    pub(super) leaf: Option<Leaf>,
}

/// A single view that shows less than an eighth of the memory it spans is moved alone: its strides are not worth the copy.
const SPARSEST: i64 = 8;
const SMALL: i64 = 4096;

impl Copies {
    /// None yet.
    pub(super) fn to(target: Device) -> Self {
        Self { target, moved: Vec::new(), places: HashMap::new(), trained: None, leaves: false }
    }

    /// Copies parameters from now on as [leaves](Leaf), where they [can be trained by hand](Member::is_trainable).
    pub(super) fn make_leaves(&mut self) {
        self.leaves = true;
    }

    /// Ties what is copied from now on to its originals. A graph that was `begun` before would not survive that tying counts as a change.
    pub(super) fn tie(&mut self, begun: bool) {
        self.trained = Some(Trained { made: if begun { torch::tied_once } else { torch::tied }, tied: true });
    }

    /// Counts how often gradients are computed through what is copied from now on.
    pub(super) fn count(&mut self) {
        self.trained = Some(Trained { made: torch::counted, tied: false });
    }

    /// Copies all of them, and what they were where a change of them is not counted.
    ///
    /// # Errors
    ///
    /// The first copy that failed.
    pub(super) fn watch(&mut self, members: Vec<Member>) -> Result<(), TchError> {
        groups(members).into_iter().try_for_each(|group| self.take(group))?;
        let unwatched = self.moved.iter_mut().filter(|moved| moved.pristine.is_none());
        let may_change = |moved: &Moved| moved.leaf.is_some() || moved.members.iter().any(Member::may_change_uncounted);
        let mut uncounted = unwatched.filter(|moved| may_change(moved));
        uncounted.try_for_each(|moved| torch::duplicate(&moved.copy).map(|copy| moved.pristine = Some(copy)))
    }

    /// Copies what [shares memory](groups), or one tensor.
    ///
    /// # Errors
    ///
    /// The copy failed.
    pub(super) fn take(&mut self, group: Vec<Member>) -> Result<(), TchError> {
        let together = if group.iter().all(Member::is_plain) { extent(&group) } else { None };
        let Some((start, end)) = together else { return group.into_iter().try_for_each(|member| self.take_alone(member)) };
        let shown: i64 = group.iter().filter_map(|member| member.layout.as_ref()).map(Layout::elements).sum();
        if group.len() == 1 && (end - start == shown || end - start > SPARSEST * shown + SMALL) {
            return group.into_iter().try_for_each(|member| self.take_alone(member));
        }
        let flat = torch::without_gradients(|| group[0].handle.f_detach()?.f_as_strided([end - start], [1], start))?;
        let copy = torch::copy_to(&flat, self.target)?;
        self.push(flat, copy, group, start, true)
    }

    fn take_alone(&mut self, member: Member) -> Result<(), TchError> {
        let start = member.layout.as_ref().map_or(0, |layout| layout.offset);
        let original = member.handle.shallow_clone();
        if self.leaves && member.is_trainable() {
            let (copy, leaf) = Leaf::copy(&original, self.target)?;
            self.push(original, copy, vec![member], start, false)?;
            if let Some(moved) = self.moved.last_mut() {
                moved.leaf = Some(leaf);
            }
            return Ok(());
        }
        let copy = || torch::copy_to(&original, self.target);
        // Also in a call that records none itself: its body may.
        let copy = if member.tracked { torch::with_gradients(copy) } else { copy() }?;
        self.push(original, copy, vec![member], start, false)
    }

    fn push(&mut self, original: Tensor, copy: Tensor, members: Vec<Member>, start: i64, flat: bool) -> Result<(), TchError> {
        let trained = self.trained.filter(|_| torch::is_trained_leaf(&original) && torch::requires_grad(&copy));
        let (copy, pristine, passes) = match trained {
            Some(trained) => {
                let passes = Passes::none(self.target)?;
                let made = torch::with_gradients(|| (trained.made)(&copy, &original, &passes))?;
                (made, Some(copy.f_detach()?), Some((passes, Noted::of(&original))))
            }
            None => (copy, None, None),
        };
        let lies_alike =
            |of: &Layout| flat || members.iter().all(|member| member.layout.as_ref().is_some_and(|own| own.stride == of.stride));
        let lies_alike = Layout::of(&copy).as_ref().is_some_and(lies_alike);
        let (version, original_version) = (torch::version(&copy), torch::version(&original));
        let identities = members.iter().map(|member| member.identity).enumerate();
        self.places.extend(identities.map(|(number, identity)| (identity, (self.moved.len(), number))));
        self.moved.push(Moved {
            original,
            copy,
            members,
            start,
            flat,
            lies_alike,
            version,
            original_version,
            passes,
            tied: trained.is_some_and(|trained| trained.tied),
            pristine,
            leaf: None,
        });
        Ok(())
    }

    /// The copy of a tensor; `None` where there is none.
    pub(super) fn of(&self, tensor: &Tensor) -> Option<Tensor> {
        let (moved, member) = *self.places.get(&torch::identity(tensor))?;
        let moved = &self.moved[moved];
        Some(match &moved.members[member].layout {
            Some(of) if moved.flat => torch::without_gradients(|| moved.copy.as_strided(&of.size, &of.stride, of.offset - moved.start)),
            _ => moved.copy.shallow_clone(),
        })
    }
}

impl Moved {
    /// Whether an optimizer may have stepped on the original.
    pub(super) fn is_trained(&self) -> bool {
        self.passes.is_some()
    }

    /// Whether gradients were computed through the copy, thrown away, and computed again.
    pub(super) fn began_again(&self) -> bool {
        self.passes.as_ref().is_some_and(|(passes, before)| passes.number() > before.accumulated(&self.original).max(1))
    }
}

/// Tensors that are copied together because they share memory. What needs a gradient, or has no plain memory, is alone.
pub(super) fn groups(members: Vec<Member>) -> Vec<Vec<Member>> {
    let (plain, single): (Vec<_>, Vec<_>) = members.into_iter().partition(Member::is_plain);
    single.into_iter().map(|member| vec![member]).chain(stretches(plain)).collect()
}
