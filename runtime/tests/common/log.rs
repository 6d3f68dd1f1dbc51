//! Who listens to the reports that are logged.

use tracing::{Event, Metadata, Subscriber, span};

/// Hands each report in the log to the function.
pub struct Reports<F>(pub F);

impl<F: Fn(&Event<'_>) + 'static> Subscriber for Reports<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "backstop::incident"
    }

    fn event(&self, event: &Event<'_>) {
        (self.0)(event);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
