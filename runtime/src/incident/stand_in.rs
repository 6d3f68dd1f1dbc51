//! Does the reporter's work for one incident where the reporter itself is stuck: in the application's log, or on a disk.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::publish::{count, save};
use super::{Finding, Incident, IncidentId, abort, kept};

/// Reports on a thread of its own, which nobody has to wait for; a message says that it is done. The report is written and kept, and one line
/// goes to standard error: the log may be what the reporter is stuck in.
pub(crate) fn stand_in(id: IncidentId, finding: Finding) -> Receiver<()> {
    let (done, wait) = sync_channel(1);
    let work = move || {
        let severity = finding.kind.severity();
        count(finding.site, finding.kind, severity);
        let mut incident = Incident::join(id, finding, severity);
        save(&mut incident);
        kept::keep(&incident);
        abort::say(match &incident.report {
            Some(path) => format!("backstop: {}, see {}\n", incident.summary(), path.display()),
            None => format!("{incident}\n"),
        });
        let _ = done.send(());
    };
    // Without a thread nobody reports it: the receiver is told by the sender's end.
    let _ = thread::Builder::new().name("backstop-stand-in".into()).spawn(work);
    wait
}
