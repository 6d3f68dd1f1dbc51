//! `#[timeout_async]` takes generics, lifetimes, `impl Trait`, patterns and attributes in a signature.
#![allow(clippy::multiple_bound_locations, clippy::non_minimal_cfg, reason = "odd signatures are what is tested here")]
#![cfg(not(feature = "disable-decorators"))]

use std::fmt::{Debug, Display};
use std::future::Future;
use std::io;

use backstop::{TimeoutError, timeout_async};

#[derive(Debug)]
struct Borrowing<'a>(#[expect(dead_code)] &'a str);

impl From<TimeoutError> for Borrowing<'_> {
    fn from(_: TimeoutError) -> Self {
        Borrowing("late")
    }
}

#[timeout_async(secs = 1)]
async fn generic<T, const N: usize>(values: [T; N]) -> io::Result<String>
where
    T: Clone + Display + Send,
{
    Ok(values.iter().map(ToString::to_string).collect())
}

#[timeout_async(secs = 1)]
async fn generic_error<E: std::error::Error + Send + Sync + From<TimeoutError>>(fail: Option<E>) -> Result<u32, E> {
    fail.map_or(Ok(1), Err)
}

#[timeout_async(secs = 1)]
async fn elided(text: &str, _more: &str) -> io::Result<usize> {
    Ok(text.len())
}

#[timeout_async(secs = 1)]
async fn elided_return(text: &str) -> io::Result<&str> {
    Ok(text.trim())
}

#[timeout_async(secs = 1)]
async fn named<'a, 'b: 'a>(left: &'a str, right: &'b str) -> Result<&'a str, Borrowing<'b>> {
    if left.is_empty() { Err(Borrowing(right)) } else { Ok(left) }
}

#[timeout_async(secs = 1, retry, fallback = named_instead)]
async fn named_again<'a>(left: &'a str, right: &'a str) -> Result<&'a str, Borrowing<'a>> {
    if left.is_empty() { Err(Borrowing(right)) } else { Ok(left) }
}

async fn named_instead<'a>(_left: &'a str, right: &'a str, _error: Borrowing<'a>) -> Result<&'a str, Borrowing<'a>> {
    Ok(right)
}

#[timeout_async(secs = 1)]
async fn impl_argument(text: impl Into<String> + Send) -> io::Result<String> {
    Ok(text.into())
}

#[timeout_async(secs = 1)]
async fn impl_inside(n: u32) -> io::Result<impl Iterator<Item = u32> + Debug> {
    Ok(0..n)
}

#[timeout_async(secs = 1, on_timeout = nothing)]
async fn impl_whole(n: u32) -> impl Iterator<Item = u32> {
    0..n
}

fn nothing(_: TimeoutError) -> std::ops::Range<u32> {
    0..0
}

#[timeout_async(secs = 1)]
async fn patterns((a, mut b): (u32, u32), [c, ..]: [u32; 3], mut d: u32, _: u32, _unused: u32) -> io::Result<u32> {
    b += 1;
    d += 1;
    Ok(a + b + c + d)
}

#[timeout_async(secs = 1, retry = 1, fallback = patterns_instead)]
async fn patterns_again((a, mut b): (u32, u32), [c, ..]: [u32; 3], mut d: u32, _: u32, _unused: u32) -> io::Result<u32> {
    b += 1;
    d += 1;
    if a == 0 { Err(io::ErrorKind::Other.into()) } else { Ok(a + b + c + d) }
}

fn patterns_instead((a, b): (u32, u32), [c, ..]: [u32; 3], d: u32, e: u32, f: u32, _error: io::Error) -> io::Result<u32> {
    Ok(a + b + c + d + e + f)
}

#[timeout_async(secs = 1, retry)]
async fn attributes(
    #[cfg(any())] gone: u32,
    #[cfg(not(any()))] here: String,
    #[allow(unused_variables)] unused: String,
    #[cfg(not(any()))] (left, _): (u32, u32),
) -> io::Result<usize> {
    Ok(here.len() + left as usize)
}

#[timeout_async(secs = 1, fallback = conditional_instead)]
async fn conditional(#[cfg(any())] gone: u32, #[cfg(not(any()))] here: String, n: usize) -> io::Result<usize> {
    here.len().checked_div(n).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn conditional_instead(here: String, n: usize, _error: io::Error) -> io::Result<usize> {
    Ok(here.len() + n)
}

#[tokio::test]
async fn a_parameter_may_be_conditional_also_with_a_fallback() {
    assert_eq!(conditional("four".to_owned(), 2).await.unwrap(), 2);
    assert_eq!(conditional("four".to_owned(), 0).await.unwrap(), 4);
}

#[timeout_async(secs = 1)]
#[must_use]
#[inline]
pub(crate) async fn with_attributes<T>(r#type: T) -> io::Result<T> {
    #![allow(clippy::unused_async)]
    Ok(r#type)
}

#[timeout_async(secs = 1, retry, fallback = raw)]
async fn r#async(r#type: String) -> io::Result<String> {
    Ok(r#type)
}

async fn raw(r#type: String, error: io::Error) -> io::Result<String> {
    drop(r#type);
    Err(error)
}

#[timeout_async(secs = 1)]
async unsafe fn not_safe(pointer: *const u32) -> io::Result<u32> {
    // SAFETY: the only caller passes a live reference.
    Ok(unsafe { *pointer })
}

struct Point {
    x: u32,
}

#[timeout_async(secs = 1)]
async fn lent(_: &mut u32, Point { x, .. }: &mut Point, mut rest: &mut [u32]) -> io::Result<u32> {
    *x += 1;
    rest = &mut rest[1..];
    rest[0] += *x;
    Ok(rest[0])
}

#[timeout_async(secs = 1)]
fn lent_to_a_future(_: &mut u32, mut rest: &mut [u32]) -> impl Future<Output = io::Result<usize>> {
    rest = &mut rest[1..];
    std::future::ready(Ok(rest.len()))
}

macro_rules! lent_under_a_macros_name {
    ($function:ident, $parameter:ident) => {
        #[timeout_async(secs = 1)]
        async fn $function($parameter: &mut u32) -> io::Result<u32> {
            *$parameter += 1;
            Ok(*$parameter)
        }
    };
}
lent_under_a_macros_name!(lent_by_name, counter);

#[tokio::test]
async fn signatures_stay_as_they_are() {
    let (mut point, mut rest) = (Point { x: 1 }, [1, 2]);
    assert_eq!(lent(&mut 0, &mut point, &mut rest).await.unwrap(), 4);
    assert_eq!((point.x, rest), (2, [1, 4]));
    assert_eq!(lent_to_a_future(&mut 0, &mut rest).await.unwrap(), 1);
    assert_eq!(lent_by_name(&mut 1).await.unwrap(), 2);
    assert_eq!(generic([1, 2]).await.unwrap(), "12");
    assert_eq!(generic_error::<io::Error>(None).await.unwrap(), 1);
    assert_eq!(elided("abc", "").await.unwrap(), 3);
    assert_eq!(elided_return(" a ").await.unwrap(), "a");
    assert_eq!(named("a", "b").await.unwrap(), "a");
    assert!(named("", "b").await.is_err());
    assert_eq!(named_again("", "b").await.unwrap(), "b");
    assert_eq!(impl_argument("a").await.unwrap(), "a");
    assert_eq!(impl_inside(3).await.unwrap().sum::<u32>(), 3);
    assert_eq!(impl_whole(3).await.sum::<u32>(), 3);
    assert_eq!(patterns((1, 2), [3, 4, 5], 6, 7, 8).await.unwrap(), 1 + 3 + 3 + 7);
    assert_eq!(patterns_again((1, 2), [3, 4, 5], 6, 7, 8).await.unwrap(), 1 + 3 + 3 + 7);
    assert_eq!(patterns_again((0, 2), [3, 4, 5], 6, 7, 8).await.unwrap(), 2 + 3 + 6 + 7 + 8);
    assert_eq!(attributes("ab".to_owned(), String::new(), (3, 0)).await.unwrap(), 5);
    assert_eq!(with_attributes(5).await.unwrap(), 5);
    assert_eq!(r#async("a".to_owned()).await.unwrap(), "a");
    // SAFETY: the reference outlives the call.
    assert_eq!(unsafe { not_safe(&5) }.await.unwrap(), 5);
}

#[tokio::test]
async fn a_generic_function_keeps_its_send() {
    let task = tokio::spawn(async { (generic(["a"]).await, named_again("", "b").await.is_ok(), impl_argument("b").await) });
    let (generic, named, argument) = task.await.unwrap();
    assert_eq!((generic.unwrap(), named, argument.unwrap()), ("a".to_owned(), true, "b".to_owned()));
}
