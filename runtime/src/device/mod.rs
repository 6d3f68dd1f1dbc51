//! One device fallback: the story.
//!
//! [`route`](Call::begin) → notes → the body → [`classify`] → [migrate](moving) → the body on the CPU → results home → event.
//!
//! Tensors that are on the CPU already are no business of this module: such a call is the bare call.

mod argument;
mod attempt;
mod call;
mod classify;
mod counted;
mod field;
mod health;
mod migrate;
mod moving;
mod result;
mod routes;
mod snapshot;
mod torch;

pub use argument::{Again, Argument, Arguments, ByClone, ByMigrate, ByReference, ByRefs, BySkipped, BySlice, ByValue, Lent, Of, of};
pub use field::{Field, FieldBorrowed, FieldCloned, FieldMoved, FieldStuck, field};
pub use migrate::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
pub use result::{
    Errors, ErrorsByPanic, ErrorsByPointer, ErrorsForeign, ErrorsFromTch, Hidden, Panics, ResultOf, Tensors, TensorsHidden, TensorsShown,
};

use attempt::Place;
use call::{Begun, Call, Judged, OnCpu};
use counted::Counted;

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
    let counted = Counted::new(site);
    let returned = match Call::begin(site, names, &mut arguments) {
        Begun::Plain => body(arguments.give()),
        Begun::Lost(cause) => call::fail(returns.errors, cause),
        Begun::Cpu(mut call) => on_cpu(&mut call, returns, &mut arguments, None, &mut body),
        Begun::Device(mut call) => {
            let ended = attempt::run(Place::Device, || call.inject(returns.errors).unwrap_or_else(|| body(arguments.lend())));
            match call.judge(returns.errors, ended, &mut arguments) {
                Judged::Done(returned) => returned,
                Judged::Again(failure) => on_cpu(&mut call, returns, &mut arguments, Some(failure), &mut body),
            }
        }
    };
    counted.returned(returns.errors.error(&returned).is_some());
    returned
}

fn on_cpu<A, R, E, T, F>(call: &mut Call, returns: Returns<E, T>, arguments: &mut A, first: Option<call::Failure<R>>, body: &mut F) -> R
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
    F: for<'x> FnMut(Lent<'x, A>) -> R,
{
    let migration = match call.migrate(arguments) {
        Ok(migration) => migration,
        Err(error) => return call.not_moved(returns.errors, first, &error, arguments),
    };
    call.announce(first.as_ref());
    let mut copies = A::Copies::default();
    let mut there = OnCpu::new(call, arguments, migration);
    let ended = attempt::run(Place::Cpu, || body(there.lend(&mut copies)));
    there.settle(returns, ended, first)
}

/// The asynchronous form of [`run`].
///
/// # Cancellation
///
/// Dropped during the attempt on the CPU, it leaves the arguments as they were before the call, as far as `snapshot` copied
/// them or the body only changed its copies.
///
/// # Panics
///
/// As [`run`].
pub async fn run_async<A, R, E, T, F>(
    site: &'static Site,
    names: &'static [&'static str],
    returns: Returns<E, T>,
    mut arguments: A,
    mut body: F,
) -> R
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
    F: for<'x> AsyncFnMut(Lent<'x, A>) -> R,
{
    let counted = Counted::new(site);
    let returned = match Call::begin(site, names, &mut arguments) {
        Begun::Plain => body(arguments.give()).await,
        Begun::Lost(cause) => call::fail(returns.errors, cause),
        Begun::Cpu(mut call) => on_cpu_async(&mut call, returns, &mut arguments, None, &mut body).await,
        Begun::Device(mut call) => {
            // Tensors are `Send` but not `Sync`: what lives across an await is borrowed exclusively, so that the future can be sent.
            let attempt = async {
                match call.inject(returns.errors) {
                    Some(injected) => injected,
                    None => body(arguments.lend()).await,
                }
            };
            let ended = attempt::poll(Place::Device, attempt).await;
            match call.judge(returns.errors, ended, &mut arguments) {
                Judged::Done(returned) => returned,
                Judged::Again(failure) => on_cpu_async(&mut call, returns, &mut arguments, Some(failure), &mut body).await,
            }
        }
    };
    counted.returned(returns.errors.error(&returned).is_some());
    returned
}

async fn on_cpu_async<A, R, E, T, F>(
    call: &mut Call,
    returns: Returns<E, T>,
    arguments: &mut A,
    first: Option<call::Failure<R>>,
    body: &mut F,
) -> R
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
    F: for<'x> AsyncFnMut(Lent<'x, A>) -> R,
{
    let migration = match call.migrate(arguments) {
        Ok(migration) => migration,
        Err(error) => return call.not_moved(returns.errors, first, &error, arguments),
    };
    call.announce(first.as_ref());
    let mut copies = A::Copies::default();
    let mut there = OnCpu::new(call, arguments, migration);
    let ended = attempt::poll(Place::Cpu, body(there.lend(&mut copies))).await;
    there.settle(returns, ended, first)
}
