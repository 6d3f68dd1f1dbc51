//! A limit that an attribute gives as a const expression, whose type only the compiler knows.

use std::time::Duration;

/// The value of `secs = LIMIT` or `millis = LIMIT`: an integer, a float (seconds only) or a `Duration`.
#[derive(Clone, Copy, Debug)]
pub struct Amount<T>(pub T);

const POSITIVE: &str = "a limit must be greater than zero; to have none, say `timeout = \"none\"` in the policy file";

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Amount<$integer> {
            /// As seconds.
            ///
            /// # Panics
            /// While compiling, where it is not greater than zero.
            #[must_use]
            #[track_caller]
            pub const fn secs(self) -> Duration {
                assert!(self.0 > 0, "{}", POSITIVE);
                #[allow(clippy::cast_sign_loss, clippy::cast_lossless, reason = "asserted above")]
                Duration::from_secs(self.0 as u64)
            }

            /// As milliseconds.
            ///
            /// # Panics
            /// While compiling, where it is not greater than zero.
            #[must_use]
            #[track_caller]
            pub const fn millis(self) -> Duration {
                assert!(self.0 > 0, "{}", POSITIVE);
                #[allow(clippy::cast_sign_loss, clippy::cast_lossless, reason = "asserted above")]
                Duration::from_millis(self.0 as u64)
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl Amount<f64> {
    /// As seconds, to the nearest nanosecond.
    ///
    /// # Panics
    /// While compiling, where it is not greater than zero, not a number, or too long.
    #[must_use]
    #[track_caller]
    pub const fn secs(self) -> Duration {
        assert!(self.0 > 0.0, "{}", POSITIVE);
        assert!(self.0 < u64::MAX as f64, "a limit must fit into a `Duration`");
        let secs = self.0 as u64;
        let nanos = ((self.0 - secs as f64) * 1e9 + 0.5) as u64;
        let limit = Duration::from_secs(secs).saturating_add(Duration::from_nanos(nanos));
        assert!(!limit.is_zero(), "{}", POSITIVE);
        limit
    }
}

impl Amount<f32> {
    /// As seconds, to the nearest nanosecond.
    ///
    /// # Panics
    /// While compiling, where it is not greater than zero, not a number, or too long.
    #[must_use]
    #[track_caller]
    pub const fn secs(self) -> Duration {
        Amount(self.0 as f64).secs()
    }
}

impl Amount<Duration> {
    /// As it is.
    ///
    /// # Panics
    /// While compiling, where it is zero.
    #[must_use]
    #[track_caller]
    pub const fn secs(self) -> Duration {
        assert!(!self.0.is_zero(), "{}", POSITIVE);
        self.0
    }

    /// As it is.
    ///
    /// # Panics
    /// While compiling, where it is zero.
    #[must_use]
    #[track_caller]
    pub const fn millis(self) -> Duration {
        self.secs()
    }
}
