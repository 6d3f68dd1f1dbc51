//! All that generated code may name. Not part of the public interface: it may change in any release.

pub use crate::__returns as returns;
pub use crate::amount::Amount;
pub use crate::guard::{
    Again, By, Calling, Fallback, Lifting, Returned, Returns, Value, again, call, call_again, isolated, lift, makes_alone, makes_or_else,
    once, or_else, reads_alone, reads_or_else,
};
pub use crate::site::{Kind, Site, Submitted};
pub use inventory;
