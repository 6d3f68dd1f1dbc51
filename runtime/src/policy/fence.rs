//! Fences: functions that a running program refuses to call, until it takes that back.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::active;
use super::explain::UnknownFunction;
use crate::event::Event;
use crate::observe;
use crate::site::{Kind, sites};

/// The functions that are fenced by name, whatever policies say. Locked by those who fence and while policies are worked out, never by a call.
static FENCED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Fences a function: from now on its calls are refused at once, with a [`TimeoutError`](crate::TimeoutError) of the kind
/// [`Rejected(Fenced)`](crate::Rejection::Fenced), while the rest of the program runs on. Calls that run are left alone; a `fallback` is
/// called. The key `fenced = true` of a policy file does the same.
///
/// For a person or a program that sees what a breaker does not: a function that stalls in a way that counts as success, or one that must not
/// be called before something is mended. It holds until [`unfence`], over every reload; `BACKSTOP_DISABLE` switches it off with the guard.
///
/// # Errors
///
/// Where no function with `#[timeout_async]` has this name; the error has the nearest one.
///
/// # Examples
///
/// ```
/// #[backstop::timeout_async(secs = 5, name = "example.orders")]
/// async fn send() -> std::io::Result<()> {
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// backstop::fence("example.orders").unwrap();
/// assert!(send().await.unwrap_err().to_string().contains("fenced"));
///
/// backstop::unfence("example.orders").unwrap();
/// assert!(send().await.is_ok());
/// # }
/// ```
pub fn fence(name: &str) -> Result<(), UnknownFunction> {
    set(name, true)
}

/// Takes [`fence`] back. Where a policy file says `fenced = true`, the function stays fenced.
///
/// # Errors
///
/// As [`fence`].
pub fn unfence(name: &str) -> Result<(), UnknownFunction> {
    set(name, false)
}

fn set(name: &str, fenced: bool) -> Result<(), UnknownFunction> {
    let mut named = sites().iter().copied().filter(|site| site.kind() == Kind::TimeoutAsync && site.name() == name);
    let site = named.next().ok_or_else(|| UnknownFunction::new(name, sites()))?;
    let mut all = FENCED.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = if fenced { all.insert(site.name()) } else { all.remove(site.name()) };
    drop(all);
    if changed {
        active::work_out_again();
        observe::event(&Event::Fenced { site, fenced });
    }
    Ok(())
}

/// Whether a function is fenced by name.
pub(super) fn is_fenced(name: &str) -> bool {
    FENCED.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
}
