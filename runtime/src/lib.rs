//! Async and tensor code that cannot hang or die silently.

mod clock;
#[cfg(any(feature = "tch", test))]
mod device;
mod event;
mod flight;
mod guard;
mod incident;
pub mod policy;
#[doc(hidden)]
pub mod private;
mod site;

pub use flight::{Beat, Node, Polling, Tree, snapshot};
pub use guard::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use incident::IncidentId;
pub use site::{Kind, Settings, Site, sites};
