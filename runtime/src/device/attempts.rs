//! The asynchronous form: the expansion makes a new body for each attempt.
//!
//! ```text
//! let mut attempts = attempts(&SITE, &["x", "name"], returns, &mut arguments);
//! loop {
//!     let (attempt, (x, name)) = attempts.lend();
//!     let ended = attempt.run(async move { body }).await;
//!     attempts = match attempts.settle(ended) {
//!         ControlFlow::Break(returned) => break returned,
//!         ControlFlow::Continue(attempts) => attempts,
//!     };
//! }
//! ```
//! An `async` closure in place of the loop would do, if a future that holds one with borrowed arguments stayed `Send`.

use std::ops::ControlFlow;

use super::Returns;
use super::argument::{Arguments, Lent};
use super::attempt::{self, Ended, Place};
use super::call::{Begun, Call};
use super::counted::Counted;
use super::failure::{self, Failure};
use super::judge::Judged;
use super::on_cpu::OnCpu;
use super::result::{Errors, Tensors};
use super::{caught, inject, opaque, torch};
use crate::site::Site;

/// Begins a call of an asynchronous function.
///
/// # Cancellation
///
/// Dropped during the attempt on the CPU, it leaves the arguments as they were before the call, as far as `snapshot` copied
/// them or the body only changed its copies.
///
/// # Panics
///
/// As [`run`](super::run), here or in [`Attempts::settle`].
pub fn attempts<'c, A, R, E, T>(
    site: &'static Site,
    names: &'static [&'static str],
    returns: Returns<E, T>,
    arguments: &'c mut A,
) -> Attempts<'c, A, R, E, T>
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
{
    let (counted, records) = (Counted::anywhere(site), torch::records_gradients());
    let mut call = Call::new(site, names);
    let stage = match call.begin(arguments, &counted) {
        Begun::Plain => Stage::Plain(arguments),
        Begun::Unseen => Stage::Unseen(names, arguments),
        Begun::Lost(cause) => Stage::Answered(failure::fail(returns.errors, cause), arguments),
        Begun::Device => Stage::Device(call, arguments),
        Begun::Cpu(fault) => {
            let first = fault.map(|fault| Failure::foreseen(returns.errors, *fault));
            Stage::on_cpu(call, returns, first, arguments)
        }
    };
    Attempts { site, returns, stage, copies: A::Copies::default(), counted, records }
}

/// The attempts of one call.
///
/// Tensors are `Send` but not `Sync`: what lives across an await is borrowed exclusively, so that the future can be sent.
pub struct Attempts<'c, A: Arguments, R, E, T> {
    site: &'static Site,
    returns: Returns<E, T>,
    // Before the copies: what is dropped first undoes an attempt on them.
    stage: Stage<'c, A, R>,
    copies: A::Copies,
    counted: Counted,
    /// Whether the task recorded gradients as the call began.
    records: bool,
}

#[allow(clippy::large_enum_variant, reason = "the large one is that of every call that goes well: a box would cost it an allocation")]
enum Stage<'c, A: Arguments, R> {
    /// As the bare call.
    Plain(&'c mut A),
    /// As the bare call too; if a device fails it, the names of its arguments are needed.
    Unseen(&'static [&'static str], &'c mut A),
    Device(Call, &'c mut A),
    Cpu(Box<OnCpu<'c, A, R>>),
    /// No attempt can be made: what the caller gets.
    Answered(R, &'c mut A),
}

impl<'c, A: Arguments, R> Stage<'c, A, R> {
    fn on_cpu<E: Errors<R>, T: Tensors<R>>(call: Call, returns: Returns<E, T>, first: Option<Failure<R>>, arguments: &'c mut A) -> Self {
        match OnCpu::begin(call, returns, first, arguments) {
            Ok(there) => Self::Cpu(Box::new(there)),
            Err(unmoved) => Self::Answered(unmoved.returned, unmoved.arguments),
        }
    }
}

/// One attempt to be made.
pub struct Attempt<E> {
    site: &'static Site,
    errors: E,
    records: bool,
    kind: Kind,
}

enum Kind {
    Plain,
    Unseen,
    At(Place),
    None,
}

impl<'c, A, R, E, T> Attempts<'c, A, R, E, T>
where
    A: Arguments,
    E: Errors<R>,
    T: Tensors<R>,
{
    /// The next attempt, and the arguments for it.
    pub fn lend(&mut self) -> (Attempt<E>, Lent<'_, A>) {
        let (kind, lent) = match &mut self.stage {
            Stage::Plain(arguments) => (Kind::Plain, arguments.give()),
            Stage::Unseen(_, arguments) => (Kind::Unseen, arguments.give()),
            Stage::Device(_, arguments) => (Kind::At(Place::Device), arguments.lend()),
            Stage::Cpu(there) => (Kind::At(Place::Cpu), there.lend(&mut self.copies)),
            Stage::Answered(_, arguments) => (Kind::None, arguments.lend()),
        };
        (Attempt { site: self.site, errors: self.returns.errors, records: self.records, kind }, lent)
    }

    /// Ends the call with its value (`Break`), or asks for another attempt.
    pub fn settle(self, ended: Option<Ended<R>>) -> ControlFlow<R, Self> {
        let Self { site, returns, stage, mut copies, mut counted, records } = self;
        let returned = match (stage, ended) {
            (Stage::Answered(returned, _), _) => returned,
            (Stage::Cpu(there), Some(ended)) => {
                drop(std::mem::take(&mut copies));
                there.settle(returns, ended)
            }
            (Stage::Plain(_), Some(ended)) => ended.value(),
            (Stage::Unseen(names, arguments), Some(ended)) => {
                opaque::value(opaque::explain(site, names, returns.errors, ended.result, arguments))
            }
            (Stage::Device(call, arguments), Some(ended)) => match ended.result {
                Ok(returned) if call.went_well(returns.errors, &returned, arguments) => returned,
                result => match call.judge(returns.errors, Ended { result, ..ended }, arguments) {
                    Judged::Done(returned) => returned,
                    Judged::Again(failure) => {
                        let stage = Stage::on_cpu(call, returns, Some(failure), arguments);
                        return ControlFlow::Continue(Self { site, returns, stage, copies, counted, records });
                    }
                },
            },
            (stage, None) => return ControlFlow::Continue(Self { site, returns, stage, copies, counted, records }),
        };
        counted.returned(returns.errors.failed(&returned));
        ControlFlow::Break(returned)
    }
}

impl<E> Attempt<E> {
    /// Runs the body as this attempt, if it is to run at all.
    pub async fn run<F>(self, body: F) -> Option<Ended<F::Output>>
    where
        F: Future,
        E: Errors<F::Output>,
    {
        match self.kind {
            Kind::None => None,
            Kind::Plain => Some(Ended::plain(Ok(body.await))),
            Kind::Unseen => Some(Ended::plain(caught::poll(body).await)),
            Kind::At(Place::Cpu) => Some(attempt::poll(Place::Cpu, self.records, body).await),
            Kind::At(Place::Device) => {
                let body = async {
                    match inject::in_turn(self.site, self.errors).await {
                        Some(injected) => injected,
                        None => body.await,
                    }
                };
                Some(attempt::poll(Place::Device, self.records, body).await)
            }
        }
    }
}
