//! Async and tensor code that cannot hang or die silently.

mod amount;
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
mod observe;
pub mod policy;
#[doc(hidden)]
pub mod private;
mod resilience;
mod site;

#[cfg(feature = "tch")]
pub use backstop_macros::Migrate;
pub use backstop_macros::{safe_mps_op, timeout_async};
#[cfg(feature = "tch")]
pub use device::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
pub use flight::{Beat, Node, Polling, Tree, snapshot};
pub use guard::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use incident::{IncidentId, IncidentKind};
pub use metrics::{FunctionStats, stats};
pub use site::{Kind, Settings, Site, sites};
