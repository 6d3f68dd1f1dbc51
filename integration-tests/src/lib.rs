//! A small trading system whose functions carry backstop's attributes.
//!
//! Real daily prices ([`market`]) are served bar by bar by a real HTTP server on loopback ([`exchange`]). The system fetches them over
//! the socket ([`api`]), cleans them ([`data_preprocessing`]), computes features ([`feature_engineering`]), lets an A3C agent
//! ([`rl_agents`]) trade ([`main_loop`]), learns on while it trades, and reports its profit ([`portfolio`]). [`session`] is one run of
//! all of it, and [`demo`] is that run with injected trouble.
//!
//! # Determinism
//! For one seed the equity curve and the weights are the same bit for bit on the CPU, on the simulated device, and on it with faults:
//! every random number comes from a seeded generator of Rust's side, weights are drawn on the CPU, tensors are float32, and a bar is
//! chosen by its number, never by the clock. Tensor functions are pure: they return new tensors and change none that they are given, so
//! that running one of them a second time on the CPU cannot count anything twice.

pub mod api;
pub mod data_preprocessing;
pub mod demo;

mod error;
pub mod exchange;
pub mod feature_engineering;
pub mod main_loop;
pub mod market;
pub mod portfolio;
pub mod rl_agents;
pub mod session;
pub mod training_loop;

pub use error::TradingError;
