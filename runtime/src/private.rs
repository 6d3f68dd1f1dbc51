//! All that generated code may name. Not part of the public interface: it may change in any release.

pub use crate::__returns as returns;
pub use crate::amount::Amount;
pub use crate::guard::{
    Again, Attempts, By, Calling, Fallback, Lifting, Returned, Returns, Value, again, call, call_again, fall_back, isolated, lift,
    makes_alone, makes_or_else, once, reads_alone, reads_or_else, settle,
};
pub use crate::site::{Kind, Site, Submitted};
pub use inventory;
