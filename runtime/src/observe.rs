//! Hands an event to everybody who wants to know.

use crate::event::Event;

/// Hands over one event.
pub(crate) fn event(event: &Event<'_>) {
    tracing::debug!(target: "backstop", ?event);
}
