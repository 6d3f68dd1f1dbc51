//! Reports on disk: a text and a JSON file for each incident and each dump, in a folder that keeps the newest of both.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::Value;

use super::{Incident, Program};

/// So many incidents are kept; older ones are deleted.
pub(super) const KEPT: usize = 100;
/// Report files, and only those, are named like this.
const INCIDENT: &str = "incident-";
const DUMP: &str = "dump-";

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

/// The path of an incident's text report in `folder`.
pub(super) fn path(folder: &Path, incident: &Incident) -> PathBuf {
    named(folder, INCIDENT, incident.time, &incident.program, incident.id.0)
}

/// The path of a dump's text in `folder`.
pub(super) fn dump_path(folder: &Path, time: SystemTime, program: &Program) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    named(folder, DUMP, time, program, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Names sort by time, then by number; the process id keeps two programs that share a folder apart.
fn named(folder: &Path, prefix: &str, time: SystemTime, program: &Program, number: u64) -> PathBuf {
    let time = humantime::format_rfc3339_seconds(time).to_string().replace([':', '-'], "");
    folder.join(format!("{prefix}{time}-{}-{number:06}.txt", program.pid))
}

/// Writes both files, so that whoever reads one reads it whole, and deletes what is beyond `keep` of the same kind. What cannot be deleted
/// makes the report no less written: another program may have pruned the same folder meanwhile, or own what is in it.
pub(super) fn write(text_path: &Path, text: &str, json: &Value, keep: usize) -> io::Result<()> {
    let folder = text_path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(json).map_err(io::Error::other)?;
    // The text comes last: who sees it finds the other beside it.
    replace(&text_path.with_extension("json"), json.as_bytes())?;
    replace(text_path, text.as_bytes())?;
    prune(folder, prefix(text_path), keep);
    Ok(())
}

/// Waits until both files are on the disk, and their names, so that they outlive the machine too.
pub(super) fn settle(text_path: &Path) -> io::Result<()> {
    for path in [text_path, &text_path.with_extension("json")] {
        File::open(path)?.sync_data()?;
    }
    sync(text_path.parent().unwrap_or(Path::new(".")))
}

fn prefix(path: &Path) -> &'static str {
    let is_dump = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DUMP));
    if is_dump { DUMP } else { INCIDENT }
}

/// Writes under another name first: a reader never sees half a file.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.part", path.extension().unwrap_or_default().to_string_lossy()));
    let written = File::create(&unfinished).and_then(|mut file| file.write_all(content));
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

/// Deletes the oldest reports. Other files in the folder are left alone.
fn prune(folder: &Path, prefix: &str, keep: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut reports: Vec<(SystemTime, PathBuf)> = entries.flatten().filter_map(|entry| aged(&entry, prefix)).collect();
    reports.sort();
    let excess = reports.len().saturating_sub(keep);
    for (_, report) in reports.drain(..excess) {
        let _ = fs::remove_file(&report);
        let _ = fs::remove_file(report.with_extension("json"));
    }
}

/// A text report and its age; times that cannot be read count as old.
fn aged(entry: &fs::DirEntry, prefix: &str) -> Option<(SystemTime, PathBuf)> {
    let name = entry.file_name().into_string().ok()?;
    let ours = name.starts_with(prefix) && name.ends_with(".txt");
    let time = || entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    ours.then(|| (time(), entry.path()))
}

#[cfg(test)]
mod tests {
    use super::super::IncidentKind;
    use super::super::testing::{folder, incident};
    use super::*;

    fn save(path: &Path, incident: &Incident, keep: usize) -> io::Result<()> {
        write(path, &incident.to_string(), &incident.to_json(), keep)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_folder_keeps_the_newest_pairs_and_foreign_files() {
        let folder = folder("bounded");
        fs::write(folder.join("notes.txt"), "mine").unwrap();
        crate::dump().write_to(&folder).unwrap();
        for id in 1..=12 {
            let incident = incident(id, IncidentKind::Limit);
            save(&path(&folder, &incident), &incident, 5).unwrap();
        }
        let names = names(&folder);
        assert_eq!(names.len(), 10 + 2 + 1, "{names:?}");
        assert!(names.contains(&"notes.txt".to_owned()));
        for id in 8..=12 {
            assert!(names.iter().any(|name| name.ends_with(&format!("{id:06}.json"))), "{id}: {names:?}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_report_is_written_though_an_older_one_cannot_be_deleted() {
        let folder = folder("stubborn");
        // No file, so nobody can remove it as one.
        fs::create_dir_all(folder.join("incident-0.txt").join("in the way")).unwrap();
        for id in 1..=3 {
            let incident = incident(id, IncidentKind::Limit);
            save(&path(&folder, &incident), &incident, 1).unwrap();
        }
        let names = names(&folder);
        assert!(names.iter().any(|name| name.ends_with("000003.txt")), "{names:?}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_report_that_cannot_be_written_leaves_nothing_behind() {
        let folder = folder("blocked");
        let incident = incident(1, IncidentKind::Limit);
        let path = path(&folder, &incident);
        fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(save(&path, &incident, 5).is_err());
        let names = names(&folder);
        assert!(!names.iter().any(|name| name.ends_with(".part")), "{names:?}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn both_files_hold_the_same_incident() {
        let folder = folder("pair");
        let incident = incident(7, IncidentKind::Idle);
        let path = path(&folder, &incident);
        save(&path, &incident, 5).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), incident.to_string());
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        let stored = read(&fs::read_to_string(path.with_extension("json")).unwrap());
        // Read back both: from a number's digits comes another number in its last bit, at times.
        assert_eq!(stored, read(&incident.to_json().to_string()));
        fs::remove_dir_all(folder).unwrap();
    }
}
