//! Async and tensor code that cannot hang or die silently.

mod clock;
mod event;
mod flight;
mod guard;
mod incident;
#[cfg(feature = "inject")]
pub mod inject;
mod observe;
pub mod policy;
#[doc(hidden)]
pub mod private;
mod resilience;
mod site;

pub use flight::{Beat, Node, Polling, Tree, snapshot};
pub use guard::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use incident::IncidentId;
pub use policy::{Explanation, PolicyError, UnknownFunction, explain};
pub use site::{Kind, Settings, Site, sites};
