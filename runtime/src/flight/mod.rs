//! The table of running calls.

mod tree;

pub use tree::{Beat, Node, Polling, Tree};

/// The running calls at this moment.
#[must_use]
pub fn snapshot() -> Tree {
    Tree::default()
}
