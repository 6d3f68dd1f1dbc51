//! A report as text for a person and as JSON for machines.

mod json;
mod text;
mod tree;

pub(super) use json::json;
pub(super) use text::{brief, summary, text};
pub(crate) use tree::tree;
