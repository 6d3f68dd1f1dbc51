//! Stores and their copies: what the body makes in a copy belongs into the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::device::torch::{Device, Kind, Tensor, VarStore, Variables};

type Shared = Arc<Mutex<Variables>>;

/// A store, and the copy that stands for it.
pub(super) struct Twin {
    original: Shared,
    copy: Shared,
    device: Device,
    kind: Kind,
    /// How many variables were trainable as the copy was made.
    trainable: usize,
}

impl Twin {
    pub(super) fn new(original: &VarStore, copy: &VarStore) -> Self {
        Self {
            original: Arc::clone(&original.variables_),
            copy: Arc::clone(&copy.variables_),
            device: original.device(),
            kind: original.kind(),
            trainable: lock(&copy.variables_).trainable_variables.len(),
        }
    }

    pub(super) fn is_copied_by(&self, store: &VarStore) -> bool {
        Arc::ptr_eq(&self.copy, &store.variables_)
    }

    /// The store itself.
    pub(super) fn original(&self) -> VarStore {
        let mut store = VarStore::new(self.device);
        store.set_kind(self.kind);
        store.variables_ = Arc::clone(&self.original);
        store
    }

    /// Where its variables are made.
    pub(super) fn device(&self) -> Device {
        self.device
    }

    /// What the body made in the copy.
    pub(super) fn made(&self) -> Vec<Tensor> {
        let (original, copy) = (lock(&self.original), lock(&self.copy));
        let made = copy.named_variables.iter().filter(|(name, _)| !original.named_variables.contains_key(*name));
        made.map(|(_, tensor)| tensor.shallow_clone()).collect()
    }

    /// Puts it into the store.
    pub(super) fn merge(&self) {
        let (mut original, mut copy) = (lock(&self.original), lock(&self.copy));
        for (name, tensor) in &copy.named_variables {
            original.named_variables.entry(name.clone()).or_insert_with(|| tensor.shallow_clone());
        }
        original.trainable_variables.extend(copy.trainable_variables.drain(self.trainable..));
    }
}

/// What stands in a store that is none of the copies.
pub(super) fn variables(store: &VarStore) -> Vec<Tensor> {
    lock(&store.variables_).named_variables.values().map(Tensor::shallow_clone).collect()
}

fn lock(variables: &Shared) -> MutexGuard<'_, Variables> {
    variables.lock().unwrap_or_else(PoisonError::into_inner)
}
