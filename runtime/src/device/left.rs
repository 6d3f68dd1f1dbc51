//! What annotated functions inside of an attempt left changed when they were not tried again: the function around them may be tried again only
//! where its own arguments show all of that.

use std::cell::RefCell;

/// What was left changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    /// The function that was refused, the last one where there are several.
    pub(crate) by: &'static str,
    /// Not all of it is known.
    pub(crate) more: bool,
    /// Some of it is not counted by libtorch.
    pub(crate) uncounted: bool,
    /// The identities of tensors.
    pub(crate) tensors: Vec<usize>,
}

thread_local! {
    static LEFT: RefCell<Left> = RefCell::default();
}

impl Left {
    /// Of which nothing more is known.
    pub(crate) fn unknown() -> Self {
        Self { more: true, ..Self::default() }
    }

    /// Both.
    pub(crate) fn add(&mut self, other: Left) {
        self.by = other.by;
        self.more |= other.more;
        self.uncounted |= other.uncounted;
        self.tensors.extend(other.tensors);
    }

    pub(crate) fn is_nothing(&self) -> bool {
        !self.more && self.tensors.is_empty()
    }
}

/// Adds it to what was left on this thread in the outermost attempt that runs.
pub(super) fn add(left: Left) {
    LEFT.with_borrow_mut(|all| all.add(left));
}

/// All that was left.
#[cold]
pub(super) fn all() -> Left {
    LEFT.with_borrow(Clone::clone)
}

/// The outermost attempt is over.
#[cold]
pub(super) fn forget() {
    LEFT.take();
}
