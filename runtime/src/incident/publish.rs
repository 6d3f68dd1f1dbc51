//! Where a report goes: into its files, the log, the counters and the list that is kept, and later what has become of it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::{error, info, warn};

use super::{Finding, Incident, IncidentId, IncidentKind, kept, rules, store};
use crate::metrics::{process, tally};
use crate::notify;
use crate::policy::Severity;
use crate::site::Site;

/// Writes, logs and keeps a report: the files before the line, for a log may be stuck, and the line before the disk has taken them, for that may
/// last.
pub(super) fn publish(incident: &mut Incident) {
    write(incident);
    log(incident);
    settle(incident);
    kept::keep(incident);
}

/// Brings the report of what lasts up to date; one that is not kept any more stays as it is.
pub(super) fn again(id: IncidentId, finding: Finding) {
    if let Some(incident) = kept::find(id) {
        publish(&mut incident.again(finding));
    }
}

/// Ends an incident: in its report, in the log, and for those who were told of it.
pub(super) fn over(mut incident: Incident, channels: &[Arc<str>]) {
    incident.resolved = Some(SystemTime::now());
    if let Some(mut kept) = kept::find(incident.id) {
        kept.resolved = incident.resolved;
        save(&mut kept);
        kept::keep(&kept);
    }
    let Incident { id, kind, function, .. } = incident;
    let lasted_ms = incident.lasted().map_or(0, |lasted| u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX));
    info!(target: "backstop::incident", incident = id.0, kind = kind.as_str(), function, lasted_ms, "over");
    notify::send(&incident, &rules::channels(channels));
}

/// Counts an incident: for its function, or for the process.
pub(super) fn count(site: Option<&'static Site>, kind: IncidentKind, severity: Severity) {
    match site.and_then(tally::of) {
        Some(tally) => tally.incident(kind, severity),
        None => process::incident(kind, severity),
    }
}

/// Writes the report to the disk, where a folder is configured.
pub(super) fn save(incident: &mut Incident) {
    write(incident);
    settle(incident);
}

fn write(incident: &mut Incident) {
    let Some(folder) = store::folder() else { return };
    let path = store::path(&folder, incident);
    match store::write(&path, &incident.to_string(), &incident.to_json(), store::KEPT) {
        Ok(()) => incident.report = Some(path),
        Err(error) => not_written(incident, &path, &error),
    }
}

fn settle(incident: &Incident) {
    if let Some(path) = &incident.report
        && let Err(error) = store::settle(path)
    {
        not_written(incident, path, &error);
    }
}

fn not_written(incident: &Incident, path: &Path, error: &io::Error) {
    process::drop_one("report");
    warn!(target: "backstop::incident", incident = incident.id.0, path = %path.display(), %error, "report not written");
}

fn log(incident: &Incident) {
    let Incident { id, kind, function, repeats, .. } = incident;
    let (kind, function, summary, cause) = (kind.as_str(), *function, incident.summary(), &incident.cause);
    let report = incident.report.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    match incident.severity {
        Severity::Info => info!(target: "backstop::incident", incident = id.0, kind, function, repeats, report, cause, "{summary}"),
        Severity::Warning => {
            warn!(target: "backstop::incident", incident = id.0, severity = "warning", kind, function, repeats, report, cause, "{summary}");
        }
        Severity::Error | Severity::Critical => {
            let severity = incident.severity.as_str();
            error!(target: "backstop::incident", incident = id.0, severity, kind, function, repeats, report, cause, "{summary}");
        }
    }
}
