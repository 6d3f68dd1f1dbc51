//! Which rule each return type gets, and what it does with a timeout.

use std::error::Error;
use std::fmt;
use std::future::{pending, ready};
use std::io;
use std::time::Duration;

use futures::executor::block_on;

use super::Returns;
use crate::outcome::Facts;
use crate::outcome::{TimeoutError, TimeoutKind};
use crate::policy::Origin;

fn timeout() -> TimeoutError {
    TimeoutError::new(Facts {
        function: "api::fetch",
        kind: TimeoutKind::Limit,
        limit: Duration::from_secs(30),
        elapsed: Duration::from_secs(31),
        attempt: 1,
        attempts: 1,
        set_by: Origin::BuiltIn,
        incident: None,
        source: None,
    })
}

/// What the guard gets for a body that returns `value`: is it a failure, what is its source.
fn read<R, S: Returns<R>>(returns: S, value: fn() -> R) -> (bool, Option<String>) {
    (returns.failed(&value()), returns.into_source(value()).map(|source| source.to_string()))
}

fn in_use() -> io::Result<u32> {
    Err(io::ErrorKind::AddrInUse.into())
}

/// An error that has only `Debug`.
#[derive(Debug, PartialEq)]
struct Bare(u32);

/// An error that has only `Display`, and is not `Send`.
struct Plain(std::rc::Rc<str>);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error that says nothing.
struct Mute;

macro_rules! from_timeout {
    ($($error:ident => $value:expr;)*) => {$(
        impl From<TimeoutError> for $error {
            fn from(_: TimeoutError) -> Self {
                $value
            }
        }
    )*};
}

from_timeout! {
    Bare => Bare(0);
    Plain => Plain("late".into());
    Mute => Mute;
}

macro_rules! returns {
    ($error:ident $after:ident $returned:ty) => {{
        let body = pending::<$returned>();
        crate::__returns!($error $after body, $returned)
    }};
    ($error:ident $after:ident $returned:ty, $path:path) => {{
        let body = pending::<$returned>();
        crate::__returns!($error $after body, on_timeout $path, $returned)
    }};
}

#[test]
fn an_error_that_can_be_a_source_is_kept_whole() {
    let returns = returns!(owned alone io::Result<u32>);
    assert_eq!(read(returns, || io::Result::Ok(1)), (false, None));
    let source = returns.into_source(in_use()).expect("an error is a source");
    assert_eq!(source.downcast_ref::<io::Error>().map(io::Error::kind), Some(io::ErrorKind::AddrInUse));
    let late: io::Result<u32> = returns.timed_out(timeout());
    let late = late.expect_err("a timeout is an error");
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    assert!(late.get_ref().is_some_and(|inner| inner.is::<TimeoutError>()));
}

#[test]
fn of_any_other_error_the_text_remains() {
    type Local<T> = Result<T, Box<dyn Error>>;
    assert_eq!(read(returns!(owned alone Local<u32>), || Local::<u32>::Err("local".into())), (true, Some("local".to_owned())));
    assert_eq!(
        read(returns!(owned alone Result<u32, Plain>), || Result::<u32, _>::Err(Plain("plain".into()))),
        (true, Some("plain".to_owned()))
    );
    assert_eq!(read(returns!(owned alone Result<u32, Bare>), || Result::<u32, _>::Err(Bare(7))), (true, Some("Bare(7)".to_owned())));
    assert_eq!(read(returns!(owned alone Result<u32, Mute>), || Result::<u32, _>::Err(Mute)), (true, None));
}

#[test]
fn an_error_that_may_borrow_is_not_kept() {
    let returns = returns!(borrowing alone io::Result<u32>);
    let source = returns.into_source(in_use()).expect("its text");
    assert!(!source.is::<io::Error>());
    assert_eq!(source.to_string(), "address in use");
}

#[test]
fn a_value_is_never_a_failure() {
    fn give_up(_: TimeoutError) -> Option<u32> {
        None
    }
    let returns = returns!(owned alone Option<u32>, give_up);
    assert_eq!(read(returns, || None::<u32>), (false, None));
    assert_eq!(returns.timed_out(timeout()), None);
}

#[test]
fn an_error_without_from_is_made_by_on_timeout() {
    fn refused(error: TimeoutError) -> Result<u32, String> {
        Err(error.function().to_owned())
    }
    let returns = returns!(owned alone Result<u32, String>, refused);
    assert_eq!(returns.timed_out(timeout()), Err("api::fetch".to_owned()));
}

#[test]
fn under_a_fallback_a_result_gives_its_own_error() {
    let returns = returns!(owned or_else Result<u32, Bare>);
    assert_eq!(block_on(super::lift(returns, ready(Result::<u32, Bare>::Ok(1)))), Ok(Ok(1)));
    assert_eq!(block_on(super::lift(returns, ready(Err::<u32, _>(Bare(7))))), Err(Bare(7)));
    let late: Result<Result<u32, Bare>, Bare> = returns.timed_out(timeout());
    assert_eq!(late, Err(Bare(0)));
}

#[test]
fn under_a_fallback_a_value_fails_only_by_a_timeout() {
    let returns = returns!(owned or_else Option<u32>);
    assert_eq!(block_on(super::lift(returns, ready(None::<u32>))).ok(), Some(None));
    let late: Result<Option<u32>, TimeoutError> = returns.timed_out(timeout());
    assert!(returns.failed(&late));
    assert_eq!(late.map_err(|error| error.function()), Err("api::fetch"));
}

#[test]
fn under_a_fallback_on_timeout_counts_as_returned() {
    fn zero(_: TimeoutError) -> Result<u32, Bare> {
        Ok(0)
    }
    let returns = returns!(owned or_else Result<u32, Bare>, zero);
    let late: Result<Result<u32, Bare>, Bare> = returns.timed_out(timeout());
    assert_eq!(late, Ok(Ok(0)));
}
