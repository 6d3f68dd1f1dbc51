//! A second rule that nothing satisfies: with two rules to choose from, the compiler names the trait that it could not satisfy, with our
//! message, and not the bound of the only rule.
//!
//! ```text
//! impl<T: Clone> Again<Cloned> for T { … }
//! impl<T: Never> Again<Otherwise> for T { … }
//! ```

/// The rule by `Clone`.
#[derive(Debug)]
pub struct Cloned;

/// The rule by nothing.
#[derive(Debug)]
pub struct Otherwise;

/// Nothing has this.
pub trait Never {
    /// Never called.
    fn never(&self) -> Self;
}
