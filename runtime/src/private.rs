//! All that generated code may name. Not part of the public interface: it may change in any release.

pub use crate::__returns as returns;
pub use crate::amount::Amount;
pub use crate::guard::{
    Again, Attempts, By, Calling, Fallback, Lifting, Returned, Returns, Value, again, call, call_again, fall_back, isolated, lift,
    makes_alone, makes_or_else, once, reads_alone, reads_made, reads_or_else, settle,
};
pub use crate::site::{Kind, Site, Sited, Submitted};
pub use inventory;

/// What expansions of `#[safe_mps_op]` name.
#[cfg(feature = "tch")]
pub mod device {
    pub use crate::device::{
        Again, Argument, Arguments, AsWritten, Attempt, Attempts, Bind, ByClone, ByMigrate, ByReference, ByRefs, BySkipped, BySkippedValue,
        BySlice, ByValue, Errors, ErrorsByPanic, ErrorsByPointer, ErrorsForeign, ErrorsFromTch, Field, FieldBorrowed, FieldCloned,
        FieldMoved, FieldStuck, Hidden, Migrate, Moves, Of, Panics, Rebuild, ResultOf, Tensors, TensorsHidden, TensorsShown, Visitor,
        VisitorMut, as_written, attempts, field, of, returns, run,
    };
}
