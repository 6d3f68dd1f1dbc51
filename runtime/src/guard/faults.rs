//! The faults that a scope injects into the code that runs here, and how they follow it into another task.

#[cfg(feature = "inject")]
pub(super) use crate::inject::Taken as Faults;

/// Without fault injection there is nothing to take along.
#[cfg(not(feature = "inject"))]
pub(super) struct Faults;

#[cfg(not(feature = "inject"))]
impl Faults {
    pub(super) fn here() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "as with fault injection")]
    pub(super) fn during<R>(&self, run: impl FnOnce() -> R) -> R {
        run()
    }
}
