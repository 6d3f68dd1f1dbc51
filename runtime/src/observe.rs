//! Hands every event on.

use crate::event::Event;

/// Reports a fact.
pub(crate) fn event(_: &Event<'_>) {}
