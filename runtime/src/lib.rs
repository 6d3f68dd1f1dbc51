//! Async and tensor code that cannot hang or die silently.

mod amount;
mod clock;
mod event;
mod flight;
mod guard;
mod incident;
mod observe;
pub mod policy;
#[doc(hidden)]
pub mod private;
mod site;

pub use backstop_macros::timeout_async;
pub use flight::{Beat, Node, Polling, Tree, snapshot};
pub use guard::{Outcome, Rejection, TimeoutError, TimeoutKind};
pub use incident::IncidentId;
pub use site::{Kind, Settings, Site, sites};
