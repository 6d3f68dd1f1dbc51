//! The end of the process, where the policy wants it: after the report is on disk and its channels are told.

use std::io::Write;
use std::process;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::escalate::Verdict;
use super::{Incident, IncidentKind, rules};
use crate::notify;

/// How long channels have to tell it.
const TOLD: Duration = Duration::from_secs(5);
/// How long standard error may take; a thread that is stuck may hold it.
const SAID: Duration = Duration::from_secs(1);

/// Whether the process is to end because of this incident.
pub(super) fn is_due(kind: IncidentKind) -> bool {
    kind == IncidentKind::RuntimeStalled && rules::aborts_on_runtime_stall()
}

/// Ends the process. `incident` is reported: on disk, where a folder is configured, else on standard error.
pub(super) fn abort(incident: &Incident, verdict: &Verdict) -> ! {
    notify::send(incident, &rules::channels(&verdict.notify));
    let in_time = notify::flush(TOLD);
    say(format!("{}{}\n", last_words(incident), if in_time { "" } else { " (a channel was not told in time)" }));
    process::abort()
}

fn last_words(incident: &Incident) -> String {
    let summary = incident.summary();
    match &incident.report {
        Some(path) => format!("backstop: {summary}; the process ends (on_runtime_stall = \"abort\"), see {}", path.display()),
        None => format!("{incident}\nbackstop: {summary}; the process ends (on_runtime_stall = \"abort\")"),
    }
}

/// By a thread of its own: whoever is stuck may hold the lock of standard error.
pub(super) fn say(words: String) {
    let (said, wait) = sync_channel(1);
    let saying = thread::Builder::new().name("backstop-last-words".into()).spawn(move || {
        let _ = std::io::stderr().write_all(words.as_bytes());
        let _ = said.send(());
    });
    if saying.is_ok() {
        let _ = wait.recv_timeout(SAID);
    }
}
