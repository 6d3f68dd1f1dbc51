//! Reports on disk: a text and a JSON file for each incident, in a folder that keeps the newest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::Incident;

/// So many incidents are kept; older ones are deleted.
pub(super) const KEPT: usize = 100;
/// Report files, and only those, are named like this.
const PREFIX: &str = "incident-";

/// The folder that `Builder::reports` named. Locked for a moment by the reporter's thread and by `install`.
static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Reports go to this folder from now on; it is made when the first one is written.
pub(super) fn set_folder(folder: PathBuf) {
    *FOLDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
}

/// Where reports go; `None` without a folder.
pub(super) fn folder() -> Option<PathBuf> {
    FOLDER.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The path of an incident's text report in `folder`. Names sort by time, then by number; the process id keeps two programs
/// that share a folder apart.
pub(super) fn path(folder: &Path, incident: &Incident) -> PathBuf {
    let time = humantime::format_rfc3339_seconds(incident.time).to_string().replace([':', '-'], "");
    folder.join(format!("{PREFIX}{time}-{}-{:06}.txt", incident.program.pid, incident.id.0))
}

/// Writes both files, each whole or not at all, and deletes what is beyond `keep`.
pub(super) fn write(text_path: &Path, incident: &Incident, keep: usize) -> io::Result<()> {
    let folder = text_path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(&incident.to_json()).map_err(io::Error::other)?;
    replace(text_path, incident.to_string().as_bytes())?;
    replace(&text_path.with_extension("json"), json.as_bytes())?;
    sync(folder)?;
    prune(folder, keep)
}

/// Writes under another name first: a reader never sees half a file.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.part", path.extension().unwrap_or_default().to_string_lossy()));
    let written = File::create(&unfinished).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_data()));
    let done = written.and_then(|()| fs::rename(&unfinished, path));
    if done.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    done
}

/// The names of new files are on disk, and not only their content; elsewhere than on Unix a folder cannot be opened for that.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Deletes the oldest incidents. Other files in the folder are left alone.
fn prune(folder: &Path, keep: usize) -> io::Result<()> {
    let mut reports: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)?.flatten().filter_map(|entry| aged(&entry)).collect();
    reports.sort();
    let excess = reports.len().saturating_sub(keep);
    for (_, report) in reports.drain(..excess) {
        fs::remove_file(&report)?;
        let _ = fs::remove_file(report.with_extension("json"));
    }
    Ok(())
}

/// A text report and its age; times that cannot be read count as old.
fn aged(entry: &fs::DirEntry) -> Option<(SystemTime, PathBuf)> {
    let name = entry.file_name().into_string().ok()?;
    let ours = name.starts_with(PREFIX) && name.ends_with(".txt");
    let time = || entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    ours.then(|| (time(), entry.path()))
}

#[cfg(test)]
mod tests {
    use super::super::IncidentKind;
    use super::super::testing::{folder, incident};
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_folder_keeps_the_newest_pairs_and_foreign_files() {
        let folder = folder("bounded");
        fs::write(folder.join("notes.txt"), "mine").unwrap();
        for id in 1..=12 {
            let incident = incident(id, IncidentKind::Limit);
            write(&path(&folder, &incident), &incident, 5).unwrap();
        }
        let names = names(&folder);
        assert_eq!(names.len(), 11, "{names:?}");
        assert!(names.contains(&"notes.txt".to_owned()));
        for id in 8..=12 {
            assert!(names.iter().any(|name| name.ends_with(&format!("{id:06}.json"))), "{id}: {names:?}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_report_that_cannot_be_written_leaves_nothing_behind() {
        let folder = folder("blocked");
        let incident = incident(1, IncidentKind::Limit);
        let path = path(&folder, &incident);
        fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(write(&path, &incident, 5).is_err());
        assert_eq!(names(&folder).len(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn both_files_hold_the_same_incident() {
        let folder = folder("pair");
        let incident = incident(7, IncidentKind::Idle);
        let path = path(&folder, &incident);
        write(&path, &incident, 5).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), incident.to_string());
        let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path.with_extension("json")).unwrap()).unwrap();
        assert_eq!(json, incident.to_json());
        fs::remove_dir_all(folder).unwrap();
    }
}
