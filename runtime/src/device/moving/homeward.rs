//! What the body made and put into the result or into a place of what it was lent: several tensors may share memory there too.

use std::collections::HashMap;

use super::copies::{Copies, groups};
use super::stretch::Member;
use crate::device::torch::{self, Device, TchError, Tensor};

/// The way home of such tensors.
pub(super) struct Homeward {
    home: Device,
    /// All that may go home.
    seen: Vec<Member>,
    /// Those that share memory with each other, until one of them goes.
    waiting: Vec<Vec<Member>>,
    /// The number of the group, by the identity of a member.
    groups: HashMap<usize, usize>,
    gone: Copies,
}

impl Homeward {
    pub(super) fn to(home: Device) -> Self {
        Self { home, seen: Vec::new(), waiting: Vec::new(), groups: HashMap::new(), gone: Copies::to(home) }
    }

    /// Looks at one of them; all are looked at before the first goes.
    pub(super) fn look(&mut self, tensor: &Tensor) {
        self.seen.push(Member::new(tensor));
    }

    /// The tensor at home. Where it needs a gradient, that finds its way back.
    ///
    /// # Errors
    ///
    /// The device does not take it.
    pub(super) fn send(&mut self, tensor: &Tensor) -> Result<Tensor, TchError> {
        if self.seen.len() > 1 {
            self.waiting = groups(std::mem::take(&mut self.seen));
            let numbered = self.waiting.iter().enumerate();
            self.groups = numbered.flat_map(|(number, group)| group.iter().map(move |member| (member.identity, number))).collect();
        }
        if let Some(number) = self.groups.get(&torch::identity(tensor)) {
            let group = std::mem::take(&mut self.waiting[*number]);
            if !group.is_empty() {
                self.gone.take(group)?;
            }
        }
        self.gone.of(tensor).map_or_else(|| torch::with_gradients(|| torch::to_device(tensor, self.home)), Ok)
    }
}
