//! Copies in the places of what a body is lent by `&mut`, and the way back.

use super::Migration;
use crate::device::migrate::{Rebuild, SeenMut, place};
use crate::device::torch::{self, Device, Tensor, VarStore};

/// A value lent by `&mut` whose tensors are replaced by copies for the length of one attempt.
#[derive(Default)]
pub(crate) struct Exchange {
    /// The originals, and where they stood.
    tensors: Vec<(usize, Tensor)>,
    devices: Vec<Device>,
    /// The originals, until they are put back.
    stores: Vec<Option<VarStore>>,
}

impl Exchange {
    /// Puts the copies in.
    pub(crate) fn enter(&mut self, seen: SeenMut<'_>, migration: &Migration) {
        match seen {
            SeenMut::Tensor(tensor) => {
                let copy = migration.copy_of(tensor);
                self.tensors.push((place(tensor), std::mem::replace(tensor, copy)));
            }
            SeenMut::Store(store) => {
                let copy = migration.rebuild(|moves| store.rebuild(moves));
                self.stores.push(Some(std::mem::replace(store, copy)));
            }
            SeenMut::Device(device) => {
                self.devices.push(*device);
                if *device == migration.origin {
                    *device = migration.target;
                }
            }
        }
    }
}

/// The way back of an [`Exchange`], place by place in the same order.
pub(crate) struct Return {
    exchange: Exchange,
    /// Whether the places are those of before. In a list that grew or shrank an original would come into another's place.
    same: bool,
    next_device: usize,
    next_tensor: usize,
    next_store: usize,
}

impl Return {
    /// `places`: of the handles, as they are shown now.
    pub(crate) fn new(exchange: Exchange, places: &[usize]) -> Self {
        let same = exchange.tensors.iter().map(|(place, _)| place).eq(places);
        Self { exchange, same, next_device: 0, next_tensor: 0, next_store: 0 }
    }

    /// Puts the originals back. `kept`: what the body put in place of a tensor comes home instead of being dropped.
    pub(crate) fn leave(&mut self, seen: SeenMut<'_>, migration: &Migration, kept: bool) {
        match seen {
            SeenMut::Tensor(tensor) => {
                let original = self.exchange.tensors.get(self.next_tensor).filter(|_| self.same).map(|(_, original)| original);
                self.next_tensor += 1;
                match original {
                    Some(original) if !kept => *tensor = original.shallow_clone(),
                    _ => {
                        let send = original.is_none_or(|original| torch::accelerator(original).is_some());
                        // A tensor that the device refuses stays on the CPU: it is the body's own, and must not be lost.
                        let _ = migration.home(SeenMut::Tensor(tensor), send);
                    }
                }
            }
            SeenMut::Store(store) => {
                if kept {
                    // As with tensors.
                    let _ = migration.home(SeenMut::Store(store), true);
                } else if let Some(original) = self.exchange.stores.get_mut(self.next_store).and_then(Option::take) {
                    *store = original;
                }
                self.next_store += 1;
            }
            SeenMut::Device(device) => {
                if let (Some(original), true) = (self.exchange.devices.get(self.next_device), *device == migration.target) {
                    *device = *original;
                }
                self.next_device += 1;
            }
        }
    }
}
