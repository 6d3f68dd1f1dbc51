//! The name of a call.

/// Names one call for as long as the process lives: the place of its record, and how often the place was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallId {
    pub(crate) place: u32,
    pub(crate) generation: u32,
}

impl CallId {
    /// As one number, for snapshots and reports; never 0.
    #[inline]
    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }

    /// The call of a number; `None` for 0.
    #[inline]
    pub(crate) fn of(number: u64) -> Option<Self> {
        (number != 0).then_some(Self { place: number as u32, generation: (number >> 32) as u32 })
    }
}
