//! What takes real seconds, and mostly waits: in one program, so that it waits side by side. Most tests run in a process of their own, which
//! is this program again.
// libtorch has no part in it: it is done once, without.
#![cfg(not(feature = "tch"))]

mod child;
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod host;
mod isolate;
mod plain;
mod reload;
#[cfg(target_os = "linux")]
mod rest;
mod runtimes;
mod stuck;
