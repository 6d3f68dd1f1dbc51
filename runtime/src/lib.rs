//! Async and tensor code that cannot hang or die silently.

mod clock;
mod event;
mod flight;
mod guard;
mod incident;
mod metrics;
mod notify;
mod observe;
pub mod policy;
#[doc(hidden)]
pub mod private;
#[cfg(feature = "prometheus")]
mod serve;
mod site;
mod spell;

pub use flight::{Beat, Node, Polling, Tree, snapshot};
pub use guard::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use incident::{FunctionProgress, Incident, IncidentId, IncidentKind, Pressure, Program, RecentEvent, SystemState, incidents};
pub use metrics::{FunctionStats, stats};
pub use site::{Kind, Settings, Site, sites};
