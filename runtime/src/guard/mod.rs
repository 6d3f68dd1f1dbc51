//! One guarded call: the story.
//!
//! ```text
//! fallback ( total ( retry ( breaker ( rate limit ( attempt limit ( bulkhead ( injection ( body ))))))))
//! ```
//!
//! [`call`] makes one attempt, [`call_again`] as many as the policy allows, [`fall_back`] is the layer around either.
//!
//! Most calls have a limit and no other layer: `first` is their first poll, `waiting` what follows if they wait. `call` (the file) is a call
//! with layers while it runs, `admission` what it must pass. `stage` is how far a future has come. `current` is the call that the running code belongs to, for what a body asks.

mod admission;
mod again;
mod attempts;
mod call;
mod cancel;
mod current;
mod deadline;
mod fallback;
mod faults;
mod first;
mod future;
mod idle;
mod isolate;
mod limits;
mod poll;
mod returned;
mod seats;
mod stage;
mod verdict;
mod waiting;

pub use again::{Again, again, once};
pub use attempts::{Attempts, call_again};
pub use cancel::{cancelled, is_cancelled};
pub use deadline::{Carried, carry, carry_blocking, deadline, remaining};
pub use fallback::{Fallback, fall_back, settle};
pub use future::Guarded;
pub use idle::{Hold, beat, beat_with, hold};
pub use isolate::isolated;
pub use returned::{
    By, Calling, Lifting, Returned, Returns, Value, lift, makes_alone, makes_or_else, reads_alone, reads_made, reads_or_else,
};

use crate::site::Sited;

/// Runs `body` once under the guard of the site of `H`.
#[inline]
pub fn call<H, F, S>(returns: S, body: F) -> Guarded<H, F, S>
where
    H: Sited,
    F: Future,
    S: Returns<F::Output>,
{
    Guarded::new(returns, body)
}
