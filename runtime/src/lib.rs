//! Async and tensor code that cannot hang or die silently.

mod amount;
mod builder;
mod clock;
#[cfg(feature = "tch")]
mod device;
mod event;
mod flight;
mod guard;
mod incident;
#[cfg(feature = "inject")]
pub mod inject;
mod metrics;
mod notify;
mod observe;
mod outcome;
pub mod policy;
#[doc(hidden)]
pub mod private;
mod resilience;
#[cfg(feature = "prometheus")]
mod serve;
mod site;
mod spell;
mod watchdog;

#[cfg(feature = "tch")]
pub use backstop_macros::Migrate;
pub use backstop_macros::{safe_mps_op, timeout_async};
pub use builder::{Backstop, Builder, InstallError};
#[cfg(feature = "tch")]
pub use device::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
pub use flight::{Beat, Node, Polling, Tree, snapshot};
pub use guard::{Carried, Hold, beat, beat_with, cancelled, carry, carry_blocking, deadline, hold, is_cancelled, remaining};
pub use incident::{FunctionProgress, Incident, IncidentId, IncidentKind, Pressure, Program, RecentEvent, SystemState, incidents};
pub use metrics::{FunctionStats, stats};
pub use outcome::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use policy::{Explanation, PolicyError, UnknownFunction, explain};
pub use site::{Kind, Settings, Site, sites};
