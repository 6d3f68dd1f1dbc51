//! A report as text for a person and as JSON for machines.

mod json;
mod text;
mod threads;
mod tree;

pub(super) use json::{dump as dump_json, json};
pub(super) use text::{brief, dump as dump_text, summary, text};
use threads::threads;
pub(crate) use tree::tree;
