//! What `#[safe_mps_op]` moves of tch itself: tensors, devices and stores. Layers are in `torch/layers.rs`.

use std::sync::{Arc, PoisonError};

use super::{Migrate, Moves, Rebuild, Seen, SeenMut, Visitor, VisitorMut};
use crate::device::torch::{Device, Tensor, VarStore};

impl Migrate for Tensor {
    #[inline]
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.show(Seen::Tensor(self));
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
        visitor.show(Seen::Device(*self));
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
        visitor.show(Seen::Store(self));
        let variables = self.variables_.lock().unwrap_or_else(PoisonError::into_inner);
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
        if moves.shares() && Arc::strong_count(&self.variables_) > 1 {
            store.variables_ = Arc::clone(&self.variables_);
            return store;
        }
        let from = self.variables_.lock().unwrap_or_else(PoisonError::into_inner);
        // tch does not export the type of a trainable variable: empty ones are made, and are given the tensors.
        for variable in &from.trainable_variables {
            let _ = store.root().set_group(variable.group).zeros("copy", &[0]);
        }
        {
            let mut to = store.variables_.lock().unwrap_or_else(PoisonError::into_inner);
            to.named_variables = from.named_variables.iter().map(|(name, tensor)| (name.clone(), tensor.rebuild(moves))).collect();
            for (to, from) in to.trainable_variables.iter_mut().zip(&from.trainable_variables) {
                to.tensor = from.tensor.rebuild(moves);
            }
        }
        drop(from);
        if let Some(told) = &mut moves.store {
            told(self, &store);
        }
        store
    }
}

/// The names that `tch::nn::batch_norm*` gives to what it changes without a trace.
fn is_running_statistic(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("running_mean" | "running_var"))
}
