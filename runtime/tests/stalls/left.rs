//! A process that stalls, and what it leaves.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::schema;

/// Long enough for any machine; nothing here waits that long.
pub const LONG: Duration = Duration::from_secs(120);

/// What a process that stalled has left.
pub struct Left {
    pub status: ExitStatus,
    pub text: String,
    pub json: Value,
    /// The last dump, where one was made.
    pub dump: Option<Value>,
}

/// Runs a stall to its end; the report of this kind that it leaves.
pub fn stall(name: &str, kind: &str) -> Left {
    stall_until(name, kind, |child, _| child.wait().unwrap())
}

pub fn stall_until(name: &str, kind: &str, end: impl FnOnce(&mut Child, &Path) -> ExitStatus) -> Left {
    let folder = folder(name);
    let status = end(&mut start(name, &folder), &folder);
    let log = fs::read_to_string(folder.join("log")).unwrap();
    let report = report(&folder, kind).unwrap_or_else(|| panic!("no report of kind {kind}; {status}:\n{log}"));
    let json = parsed(&report);
    schema::check(&schema::incident(), &json, "report").unwrap();
    let text = fs::read_to_string(report).unwrap().replace(folder.to_str().unwrap(), "FOLDER");
    let dump = texts(&folder, "dump-").pop().map(|dump| parsed(&dump));
    fs::remove_dir_all(folder).unwrap();
    Left { status, text, json, dump }
}

/// A new folder for what one process leaves.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("backstop-stall-{name}-{}", std::process::id()));
    fs::create_dir_all(folder.join("reports")).unwrap();
    folder
}

/// Starts the process that stalls; what it prints goes to `log`.
pub fn start(name: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "stalling", "--ignored", "--nocapture"]).env("STALL", name).env("STALL_FOLDER", folder);
    for variable in ["BACKSTOP_CONFIG", "BACKSTOP_DISABLE", "BACKSTOP_TIMEOUT_SCALE", "BACKSTOP_INJECT"] {
        command.env_remove(variable);
    }
    let log = fs::File::create(folder.join("log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// The first report of a kind.
pub fn report(folder: &Path, kind: &str) -> Option<PathBuf> {
    texts(folder, "incident-").into_iter().find(|path| parsed(path)["kind"] == kind)
}

/// The texts in the folder for reports whose names begin like this; a text that is there is whole, and so is the JSON beside it.
pub fn texts(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let reports = fs::read_dir(folder.join("reports")).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<PathBuf> = reports.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    texts.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    texts.sort();
    texts
}

pub fn parsed(text: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(text.with_extension("json")).unwrap()).unwrap()
}

/// Waits until the process has got that far, or has ended.
pub fn wait(child: &mut Child, far: impl Fn() -> bool) {
    let began = Instant::now();
    while !far() && child.try_wait().unwrap().is_none() && began.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills a process that hangs for ever.
pub fn killed(child: &mut Child) -> ExitStatus {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "it hangs for ever");
    status
}
