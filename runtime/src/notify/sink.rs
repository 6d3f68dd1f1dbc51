//! Where a notification can go. One attempt; the queue does the rest.

use super::Notification;
#[cfg(unix)]
use super::command::Command;
use super::{file::Append, log::Log};
use crate::policy::{Channel, ChannelKind};

/// One attempt to deliver, with a bound on its time where the operating system allows one.
pub(super) trait Sink: Send {
    /// Delivers, or says why not.
    fn deliver(&mut self, notification: &Notification) -> Result<(), String>;
}

/// The sink of a channel.
pub(super) fn of(channel: &Channel) -> Box<dyn Sink> {
    match &channel.kind {
        #[cfg(feature = "webhook")]
        ChannelKind::Webhook { url, format } => Box::new(super::webhook::Webhook::new(url.clone(), *format)),
        #[cfg(not(feature = "webhook"))]
        ChannelKind::Webhook { .. } => Box::new(Missing("this program was built without the feature `webhook` of `backstop`")),
        #[cfg(not(unix))]
        ChannelKind::Command { .. } => Box::new(Missing("commands are not available on this platform")),
        #[cfg(unix)]
        ChannelKind::Command { argv } => Box::new(Command::new(argv.clone())),
        ChannelKind::File { path } => Box::new(Append::new(path.clone())),
        ChannelKind::Log => Box::new(Log),
    }
}

/// A channel of a kind that is not there, and why.
#[cfg(not(all(feature = "webhook", unix)))]
struct Missing(&'static str);

#[cfg(not(all(feature = "webhook", unix)))]
impl Sink for Missing {
    fn deliver(&mut self, _: &Notification) -> Result<(), String> {
        Err(self.0.to_owned())
    }
}
