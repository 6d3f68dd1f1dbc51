//! Agents that learn to trade by reinforcement.

pub mod a3c;
