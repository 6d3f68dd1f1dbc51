//! Tells the channels of a policy about incidents.
//!
//! Each channel has a bounded queue and a thread of its own, so that one that hangs delays neither the reporter nor another
//! channel. What does not fit is dropped and counted; what fails is tried again, and counted when it fails for good.

#[cfg(feature = "webhook")]
mod alert;
#[cfg(unix)]
mod command;
mod file;
mod log;
mod notification;
#[cfg(unix)]
mod pipes;
mod queue;
mod sink;
#[cfg(unix)]
mod system;
#[cfg(feature = "webhook")]
mod webhook;

pub(crate) use notification::Notification;
pub(crate) use queue::{flush, remind, send};
