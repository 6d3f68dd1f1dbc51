//! Async and tensor code that cannot hang or die silently.

mod clock;
mod event;
mod flight;
mod guard;
mod incident;
pub mod policy;
#[doc(hidden)]
pub mod private;
mod observe;
mod site;
mod watchdog;

pub use flight::{Beat, Node, Polling, Tree, snapshot};
pub use guard::{Hold, Outcome, Rejection, TimeoutError, TimeoutKind, beat, beat_with, cancelled, carry, carry_blocking, Carried, deadline, hold, is_cancelled, remaining};
pub use incident::IncidentId;
pub use site::{Kind, Settings, Site, sites};
