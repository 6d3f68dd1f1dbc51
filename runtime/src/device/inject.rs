//! Faults that are injected in place of a body, or before it.

use super::failure::fail;
use super::result::Errors;
use crate::clock::Clock;
use crate::inject::{Fault, InjectedError, before, expected};
use crate::site::Site;
use crate::watchdog;

/// What the function returns instead of running its body, if anything.
#[inline(always)]
pub(super) fn at_once<R, E: Errors<R>>(site: &'static Site, errors: E) -> Option<R> {
    // Most programs never inject anything.
    if expected() { expected_at_once(site, errors) } else { None }
}

#[cold]
#[inline(never)]
fn expected_at_once<R, E: Errors<R>>(site: &'static Site, errors: E) -> Option<R> {
    match before(site)? {
        Fault::Device(text) => Some(fail(errors, &text)),
        other => failed(errors, other.run_blocking()),
    }
}

/// The same for an async function: a delay and a stall leave the thread free.
pub(super) async fn in_turn<R, E: Errors<R>>(site: &'static Site, errors: E) -> Option<R> {
    let fault = if expected() { before(site) } else { None };
    match fault? {
        Fault::Device(text) => Some(fail(errors, &text)),
        other => {
            let clock = Clock::here();
            failed(errors, other.run(clock.now(), |until| watchdog::sleep_until(clock, until)).await)
        }
    }
}

fn failed<R, E: Errors<R>>(errors: E, ran: Result<(), InjectedError>) -> Option<R> {
    ran.err().map(|error| fail(errors, &error.to_string()))
}
