//! A failed attempt, and how its error reaches the caller.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{panic_any, resume_unwind};
use std::thread;

use super::classify::{self, Fault, text_of};
use super::result::Errors;
use super::torch;

/// A first attempt that failed by a device fault.
pub(super) struct Failure<R> {
    pub(super) result: thread::Result<R>,
    pub(super) fault: Fault,
    /// Of the arguments as they were on the device, where what the fault says about later calls is still to be remembered.
    pub(super) signature: Option<u64>,
    /// Whether the body has run.
    pub(super) ran: bool,
}

impl<R> Failure<R> {
    /// As if the body had failed by this fault.
    pub(super) fn foreseen<E: Errors<R>>(errors: E, fault: Fault) -> Self {
        let result = errors.fail(fault.reason.clone()).map_err(|text| Box::new(unwrapped(&text)) as Box<dyn Any + Send>);
        Self { result, fault, signature: None, ran: false }
    }
}

/// The value that fails with this libtorch text, or tch's panic where the type cannot say it.
pub(super) fn fail<R, E: Errors<R>>(errors: E, text: &str) -> R {
    errors.fail(text.to_owned()).unwrap_or_else(|text| panic_any(unwrapped(&text)))
}

/// A libtorch text as tch's plain methods panic with it.
fn unwrapped(text: &str) -> String {
    format!("called `Result::unwrap()` on an `Err` value: {:?}", torch::error(text.to_owned()))
}

pub(super) fn amend<R, E: Errors<R>>(errors: E, result: thread::Result<R>, addition: &str) -> R {
    match result {
        Ok(mut returned) => {
            errors.append(&mut returned, addition);
            returned
        }
        // Its first report was silenced, so it is reported now.
        Err(panic) => match text_of(&*panic) {
            Some(text) => panic_any(format!("{text}{addition}")),
            None => resume_unwind(panic),
        },
    }
}

/// Goes on with a panic; a device fault was not reported when it was raised, and is now.
pub(super) fn raise<R>(panic: Box<dyn Any + Send>) -> R {
    match (classify::of_panic(&*panic), text_of(&*panic)) {
        (Some(_), Some(text)) => panic_any(text.to_owned()),
        _ => resume_unwind(panic),
    }
}

/// The text that an attempt failed with; `None` where it did not.
pub(super) fn said<R, E: Errors<R>>(errors: E, result: &thread::Result<R>) -> Option<Cow<'_, str>> {
    match result {
        Ok(returned) => errors.error(returned).map(Cow::Owned),
        Err(panic) => Some(Cow::Borrowed(text_of(&**panic).unwrap_or("a panic without a text"))),
    }
}
