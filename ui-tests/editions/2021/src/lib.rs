//! Annotated functions in a crate of edition 2021 that calls `backstop` by another name.

include!("../../accepted.rs");
