//! What the body made and put into the result or into a place of what it was lent: several tensors may share memory there too.

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
    gone: Copies,
}

impl Homeward {
    pub(super) fn to(home: Device) -> Self {
        Self { home, seen: Vec::new(), waiting: Vec::new(), gone: Copies::to(home) }
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
        }
        let identity = torch::identity(tensor);
        let is_in = |group: &Vec<Member>| group.iter().any(|member| member.identity == identity);
        if let Some(at) = self.waiting.iter().position(is_in) {
            self.gone.take(self.waiting.swap_remove(at))?;
        }
        self.gone.of(tensor).map_or_else(|| torch::with_gradients(|| torch::to_device(tensor, self.home)), Ok)
    }
}
