//! Which of `backstop`'s features expansions depend on: it hands them on to this crate.

use proc_macro2::Span;
use syn::Error;

/// The features that are on.
#[derive(Clone, Copy)]
pub struct Features {
    /// The attributes leave every function as it was written.
    pub disabled: bool,
    /// The runtime has what `#[safe_mps_op]` calls.
    pub tch: bool,
}

impl Features {
    /// Of this build.
    pub const fn on() -> Self {
        Self { disabled: cfg!(feature = "disable-decorators"), tch: cfg!(feature = "tch") }
    }
}

/// `#[safe_mps_op]` where there is nothing for it to call.
pub fn without_tch() -> Error {
    let message = "`#[safe_mps_op]` needs the feature `tch` of `backstop`, which is off: write `backstop = { version = \"…\", features = [\"tch\"] }` \
                   in Cargo.toml";
    Error::new(Span::call_site(), message)
}
