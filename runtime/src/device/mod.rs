//! One device fallback: the story.
//!
//! [notes](survey), [route](call) → [the body](attempt) → [is it the device's fault?](classify) → [may it be tried again?](judge) →
//! [migrate](moving) → [the body on the CPU, results home](on_cpu) → event.
//!
//! Tensors that are on the CPU already are no business of this module: such a call is the bare call.

mod argument;
mod attempt;
mod attempts;
mod call;
mod caught;
mod classify;
mod counted;
mod failure;
mod field;
mod health;
#[cfg(feature = "inject")]
mod inject;
#[cfg(not(feature = "inject"))]
#[path = "inject/none.rs"]
mod inject;
mod judge;
mod left;
mod migrate;
mod moving;
mod on_cpu;
mod opaque;
mod preflight;
mod rare;
mod report;
mod result;
mod routes;
mod snapshot;
mod standing;
mod survey;
mod told;
mod torch;
mod tuples;

pub use argument::{
    Again, Argument, Arguments, AsWritten, Bind, ByClone, ByMigrate, ByReference, ByRefs, BySkipped, BySkippedValue, BySlice, ByValue,
    Lent, Of, as_written, of,
};
pub use attempts::{Attempt, Attempts, attempts};
pub use field::{Field, FieldBorrowed, FieldCloned, FieldMoved, FieldStuck, field};
pub use migrate::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
pub use result::{
    Errors, ErrorsByPanic, ErrorsByPointer, ErrorsForeign, ErrorsFromTch, Hidden, Panics, ResultOf, Tensors, TensorsHidden, TensorsShown,
};

use attempt::{Ended, Place};
use call::{Begun, Call};
use classify::Fault;
use counted::Counted;
use failure::Failure;
use judge::Judged;
use on_cpu::OnCpu;

use crate::site::Site;

/// How errors and tensors are found in what a function returns.
#[derive(Clone, Copy, Debug)]
pub struct Returns<E, T> {
    errors: E,
    tensors: T,
}

/// Of a function: see [`ResultOf`].
pub const fn returns<E, T>(errors: E, tensors: T) -> Returns<E, T> {
    Returns { errors, tensors }
}

/// Runs `body`, and on a device fault once more on the CPU.
///
/// # Panics
///
/// Where the body does: with its own panic, or where the attempt on the CPU fails too, with the texts of both.
pub fn run<A, R, E, T, F>(site: &'static Site, names: &'static [&'static str], returns: Returns<E, T>, mut arguments: A, mut body: F) -> R
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
    F: for<'x> FnMut(Lent<'x, A>) -> R,
{
    let mut counted = Counted::here(site);
    let mut call = Call::new(site, names);
    let returned = match call.begin(&mut arguments, &counted) {
        Begun::Device => {
            let mut returned = None;
            let unusual = attempt::watch(Place::Device, || {
                returned = Some(match inject::at_once(site, returns.errors) {
                    None => body(arguments.lend()),
                    Some(injected) => injected,
                });
            });
            let well = returned.as_ref().is_some_and(|returned| call.went_well(returns.errors, returned, &arguments));
            if well {
                counted.returned(false);
            }
            match returned {
                Some(returned) if well => return returned,
                returned => after(call, returns, Ended::of(returned, unusual), &mut arguments, &mut body),
            }
        }
        Begun::Unseen => {
            let result = caught::run(|| body(arguments.give()));
            opaque::value(opaque::explain(site, names, returns.errors, result, &arguments))
        }
        Begun::Plain => body(arguments.give()),
        Begun::Lost(cause) => failure::fail(returns.errors, cause),
        Begun::Cpu(fault) => instead(call, returns, fault, &mut arguments, &mut body),
    };
    counted.returned(returns.errors.failed(&returned));
    returned
}

/// What follows an attempt on the device that failed. Apart from [`run`], as all that is rare: most calls neither pass it nor load it.
#[cold]
#[inline(never)]
fn after<A, R, E, T, F>(call: Call, returns: Returns<E, T>, ended: Ended<R>, arguments: &mut A, body: &mut F) -> R
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
    F: for<'x> FnMut(Lent<'x, A>) -> R,
{
    match call.judge(returns.errors, ended, arguments) {
        Judged::Done(returned) => returned,
        Judged::Again(failure) => on_cpu(call, returns, arguments, Some(failure), body),
    }
}

/// Straight to the CPU.
#[cold]
#[inline(never)]
fn instead<A, R, E, T, F>(call: Call, returns: Returns<E, T>, fault: Option<Box<Fault>>, arguments: &mut A, body: &mut F) -> R
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
    F: for<'x> FnMut(Lent<'x, A>) -> R,
{
    let first = fault.map(|fault| Failure::foreseen(returns.errors, *fault));
    on_cpu(call, returns, arguments, first, body)
}

fn on_cpu<A, R, E, T, F>(call: Call, returns: Returns<E, T>, arguments: &mut A, first: Option<Failure<R>>, body: &mut F) -> R
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
    F: for<'x> FnMut(Lent<'x, A>) -> R,
{
    match OnCpu::begin(call, returns, first, arguments) {
        Ok(mut there) => {
            let mut copies = A::Copies::default();
            let ended = attempt::run(Place::Cpu, || body(there.lend(&mut copies)));
            // What the result shares with them it has then to itself.
            drop(copies);
            there.settle(returns, ended)
        }
        Err(unmoved) => unmoved.returned,
    }
}
