//! x
pub(crate) fn event(_: &crate::event::Event<'_>) {}
