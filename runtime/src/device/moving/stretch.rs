//! Which tensors share memory: those move as one copy of it.

use crate::device::torch::{self, Layout, Tensor};

/// A tensor that the arguments showed.
pub(super) struct Member {
    pub(super) handle: Tensor,
    pub(super) identity: usize,
    pub(super) layout: Option<Layout>,
    /// Whether it needs a gradient.
    pub(super) tracked: bool,
    pub(super) buffer: bool,
    /// Whether it is lent by `&mut`.
    pub(super) exclusive: bool,
    /// Whether it stands in a store, of which a body can make an optimizer.
    pub(super) stored: bool,
}

impl Member {
    pub(super) fn new(tensor: &Tensor) -> Self {
        Self {
            handle: tensor.shallow_clone(),
            identity: torch::identity(tensor),
            layout: Layout::of(tensor),
            tracked: tensor.requires_grad(),
            buffer: false,
            exclusive: false,
            stored: false,
        }
    }

    /// Whether it can move as a part of the memory that it shares.
    pub(super) fn is_plain(&self) -> bool {
        !self.tracked && self.layout.is_some()
    }

    /// Whether a body is not expected to put what it computed there.
    pub(super) fn keeps_nothing(&self) -> bool {
        !self.exclusive || self.buffer || self.stored || torch::is_trained_leaf(&self.handle)
    }

    /// Whether the body can train it by hand.
    pub(super) fn is_trainable(&self) -> bool {
        (self.exclusive || self.stored) && torch::is_trained_leaf(&self.handle)
    }

    /// Running statistics change without being counted; they are lists of numbers that need no gradient.
    pub(super) fn may_change_uncounted(&self) -> bool {
        self.buffer || (!self.tracked && self.handle.dim() == 1 && self.handle.is_floating_point())
    }
}

/// Groups tensors whose memory overlaps.
pub(super) fn stretches(mut members: Vec<Member>) -> Vec<Vec<Member>> {
    let key = |member: &Member| member.layout.as_ref().map(|of| (of.root, of.kind as i32, of.offset));
    members.sort_by_key(key);
    let (mut groups, mut end): (Vec<Vec<Member>>, i64) = (Vec::new(), 0);
    for member in members {
        let own = member.layout.as_ref().map_or(0, Layout::end);
        match groups.last_mut().filter(|group| overlaps(group, end, &member)) {
            Some(group) => {
                end = end.max(own);
                group.push(member);
            }
            None => {
                end = own;
                groups.push(vec![member]);
            }
        }
    }
    groups
}

/// Whether it lies before the group's `end` in the same memory.
fn overlaps(group: &[Member], end: i64, next: &Member) -> bool {
    let (Some(first), Some(next)) = (group[0].layout.as_ref(), next.layout.as_ref()) else { return false };
    first.device == next.device && first.root == next.root && first.kind == next.kind && next.offset < end
}

/// The first element and one past the last that the group reaches.
pub(super) fn extent(group: &[Member]) -> Option<(i64, i64)> {
    let layouts = || group.iter().filter_map(|member| member.layout.as_ref());
    Some((layouts().map(|of| of.offset).min()?, layouts().map(Layout::end).max()?))
}
