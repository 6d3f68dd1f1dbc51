//! Async and tensor code that cannot hang or die silently.
//!
//! Two attributes do the work; everything else follows from them:
//!
//! - [`#[timeout_async]`](macro@timeout_async) limits an async call. A watchdog on a thread of its own wakes it at its deadline, under any
//!   executor, and finds calls that stall or block their thread.
//! - [`#[safe_mps_op]`](macro@safe_mps_op) runs a tensor function once more on the CPU when the accelerator fails it (feature `tch`).
//!
//! ```
//! use backstop::timeout_async;
//!
//! #[timeout_async(millis = 50)]
//! async fn quote() -> std::io::Result<f64> {
//!     std::future::pending().await // the exchange does not answer
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let error = quote().await.unwrap_err();
//! assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
//!
//! let timeout = error.get_ref().and_then(|inner| inner.downcast_ref::<backstop::TimeoutError>()).unwrap();
//! assert!(timeout.function().ends_with("quote"));
//! # }
//! ```
//!
//! # Inside a body
//!
//! [`beat`] and [`beat_with`] say that it makes progress, [`hold`] declares a long silent stretch, [`remaining`] and [`deadline`] tell how
//! long it has, [`cancelled`] that it should stop; [`carry`] takes all of that into another task.
//!
//! # From outside
//!
//! [`Builder`] puts policies, reports and metrics in force; without it the attributes work with built-in policies. [`snapshot`] shows the
//! running calls as a tree, [`dump`] what happened last too, [`stats`] counts, [`incidents`] are the last reports, [`explain`] says which settings apply to a function and who
//! set them.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `webhook` (default) | the notification channel `webhook` |
//! | `stacks` (default) | native stacks of stuck threads in reports, on Linux x86_64 |
//! | `prometheus` | [`Builder`]'s `/metrics` |
//! | `inject` | fault injection by policy, environment and API |
//! | `tch` | device fallback; needs libtorch |
//! | `disable-decorators` | the attributes leave every function as written |
//!
//! # Tests with tokio's paused clock
//!
//! Where `tokio::time::pause()` is in force, limits, idle times, warnings and pauses follow that clock, in builds with debug assertions (as
//! tests have them). Release builds never look: there a paused clock is not followed.

mod amount;
mod builder;
mod clock;
mod coarse;
#[cfg(feature = "tch")]
mod device;
mod event;
mod flight;
mod guard;
mod heap;
mod host;
mod incident;
#[cfg(feature = "inject")]
pub mod inject;
mod metrics;
mod notify;
mod observe;
mod otherwise;
mod outcome;
pub mod policy;
#[doc(hidden)]
pub mod private;
mod resilience;
#[cfg(feature = "prometheus")]
mod serve;
mod shelf;
mod site;
mod spell;
mod text;
mod watchdog;

#[cfg(feature = "tch")]
pub use backstop_macros::Migrate;
pub use backstop_macros::{safe_mps_op, timeout_async};
pub use builder::{Backstop, Builder, InstallError};
#[cfg(feature = "tch")]
pub use device::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
pub use flight::{Beat, GuardedPoll, Node, Polling, RuntimeState, Tree, runtimes, snapshot};
pub use guard::{Carried, Hold, beat, beat_with, cancelled, carry, carry_blocking, deadline, hold, is_cancelled, remaining};
pub use host::{Blame, Evidence, Verdict, Withheld};
pub use incident::{
    Dump, DumpReason, FunctionProgress, Incident, IncidentId, IncidentKind, NativeStack, Pressure, Program, RecentEvent, StackFrame,
    SystemState, ThreadState, Trust, dump, incidents,
};
pub use metrics::{FunctionStats, stats};
pub use outcome::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use policy::{Explanation, PolicyError, UnknownFunction, explain, fence, unfence};
pub use site::{Kind, Settings, Site, sites};
pub use watchdog::{threads, watch_runtime};
