//! Calls that are in their first poll and have no record yet: their times pass too, while they hold their thread.

use super::finding;
use super::judge::{self, Due};
use crate::clock::Tick;
use crate::event::Event;
use crate::flight::{FIRED, Polled, View, WARNED};
use crate::incident::{self, Occasion, Sighting};
use crate::observe;

/// Does what is due for one of them. The flags that would be up in its record are noted in the frame of its poll.
pub(super) fn look(polled: &Polled, now: Tick) {
    let flags = polled.noted();
    let view = View { flags, ..polled.view };
    // The caller is in its poll just as well: it ends the call, where its deadline is the earlier one.
    let deadline = if view.within { Tick::NEVER } else { view.deadline };
    let Due { expired, slow, .. } = judge::due(&View { deadline, ..view }, now);
    if let (true, Some(site)) = (slow, view.site) {
        observe::event(&Event::Slow { site, elapsed: now.since(view.started), limit: view.deadline.since(view.started), more: 0 });
        polled.note(flags | WARNED, 0);
    } else if expired.is_some() {
        let id = incident::reserve();
        polled.note(flags | FIRED, id.get());
        incident::sighted(Occasion::First, Sighting { id, ..finding::limit(polled.id, &view, now) });
    }
}
