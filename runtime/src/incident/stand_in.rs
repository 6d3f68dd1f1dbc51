//! Does the reporter's work for one incident where the reporter itself is stuck: in the application's log, or on a disk. Its thread waits for that
//! from the start: none could be started where the heap is stuck.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::publish::{count, save};
use super::sheets::{self, Sheet};
use super::{Incident, Sighting, abort, kept};

/// Sightings that wait for it.
const WAITING: usize = 4;

/// How many it is through with.
static DONE: AtomicU64 = AtomicU64::new(0);

fn port() -> &'static Option<SyncSender<Sheet>> {
    static PORT: OnceLock<Option<SyncSender<Sheet>>> = OnceLock::new();
    PORT.get_or_init(|| {
        let (port, given) = sync_channel(WAITING);
        thread::Builder::new().name("backstop-stand-in".into()).spawn(move || run(&given)).ok()?;
        Some(port)
    })
}

/// Has its thread wait.
pub(super) fn start() {
    port();
}

/// Reports on that thread, which nobody has to wait for. The report is written and kept, and one line goes to standard error: the log may be what
/// the reporter is stuck in.
pub(crate) fn stand_in(sighting: Sighting) {
    let Some(mut sheet) = sheets::take() else { return };
    *sheet = Some(sighting);
    if let Some(port) = port() {
        // Where it is stuck, too, nobody is left to report it.
        let _ = port.try_send(sheet);
    }
}

/// Grows with every report.
pub(crate) fn done() -> u64 {
    DONE.load(Acquire)
}

fn run(given: &Receiver<Sheet>) {
    while let Ok(mut sheet) = given.recv() {
        if let Some(sighting) = sheet.take() {
            report(sighting);
        }
        sheets::give_back(sheet);
        DONE.fetch_add(1, Release);
    }
}

fn report(sighting: Sighting) {
    let (id, kind) = (sighting.id, sighting.kind);
    let finding = sighting.finding();
    let severity = kind.severity();
    count(finding.site, kind, severity);
    let mut incident = Incident::join(id, finding, severity);
    save(&mut incident);
    kept::keep(&incident);
    abort::say(match &incident.report {
        Some(path) => format!("backstop: {}, see {}\n", incident.summary(), path.display()),
        None => format!("{incident}\n"),
    });
}
