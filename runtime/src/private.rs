//! All that generated code may name. Not part of the public interface: it may change in any release.

pub use crate::guard::{Returned, Returns, Value, call, call_again};
pub use crate::site::{Kind, Site, Submitted};
pub use inventory;
