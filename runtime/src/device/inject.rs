//! Faults that are injected in place of a body, or before it.

use super::failure::fail;
use super::result::Errors;
use crate::clock::Clock;
use crate::inject::{Fault, InjectedError, before, expected};
use crate::site::Site;
use crate::watchdog;

/// What the function returns instead of running its body, if anything.
pub(super) fn at_once<R, E: Errors<R>>(site: &'static Site, errors: E) -> Option<R> {
    match fault_of(site)? {
        Fault::Device(text) => Some(fail(errors, &text)),
        other => failed(errors, other.run_blocking()),
    }
}

/// The same for an async function: a delay and a stall leave the thread free.
pub(super) async fn in_turn<R, E: Errors<R>>(site: &'static Site, errors: E) -> Option<R> {
    match fault_of(site)? {
        Fault::Device(text) => Some(fail(errors, &text)),
        other => {
            let clock = Clock::here();
            failed(errors, other.run(clock.now(), |until| watchdog::sleep_until(clock, until)).await)
        }
    }
}

/// Most programs never inject anything.
#[inline]
fn fault_of(site: &'static Site) -> Option<Fault> {
    if expected() { before(site) } else { None }
}

fn failed<R, E: Errors<R>>(errors: E, ran: Result<(), InjectedError>) -> Option<R> {
    ran.err().map(|error| fail(errors, &error.to_string()))
}
