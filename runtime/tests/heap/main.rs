//! The heap's lock is held, and never given back: what a user is told by a watchdog that needs none of it.
#![cfg(all(target_os = "linux", not(feature = "tch")))]

#[path = "../processes/child.rs"]
mod child;
#[path = "../common/mod.rs"]
mod common;
mod counted;
mod looks;
mod stuck;
