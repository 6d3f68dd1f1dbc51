//! The trading system as a user runs it, and with trouble: the one waits while the other computes.

mod demo;
mod faults;
