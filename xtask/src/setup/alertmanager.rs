//! Debian's Alertmanager for the test that pages it: unpacked into the cache folder, without root and without installing anything.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache;
use crate::problem::{Done, Problem};

const PACKAGE: &str = "prometheus-alertmanager";
/// Where Debian's build looks for its templates, wherever the program itself lies.
const SHARE: &str = "/usr/share/prometheus/alertmanager";

/// The program: in `PATH`, from an earlier run, or fetched now.
pub fn ensure() -> Done<PathBuf> {
    let unpacked = cache::folder()?.join("alertmanager");
    let program = unpacked.join("usr/bin").join(PACKAGE);
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = env::split_paths(&path).map(|folder| folder.join(PACKAGE)).find(|program| program.is_file());
    match installed {
        Some(program) => Ok(program),
        None if program.is_file() => Ok(program),
        None => unpack(&unpacked).map(|()| program),
    }
}

/// Fetches and unpacks; the whole folder appears in one step.
fn unpack(folder: &Path) -> Done {
    let work = folder.with_extension(format!("{}.part", std::process::id()));
    let root = work.join("root");
    let made = fs::create_dir_all(&root).map_err(|error| lost(&work, &error)).and_then(|()| {
        let package = download(&work)?;
        run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&root))?;
        relocate(&root.join("usr/bin").join(PACKAGE)).map_err(|error| lost(&work, &error))?;
        fs::rename(&root, folder).map_err(|error| lost(folder, &error))
    });
    // What is left of the work is of no use to anybody.
    let _ = fs::remove_dir_all(&work);
    made
}

/// The package file. A machine whose package lists are missing gets its own, in `work`: only root may renew the system's.
fn download(work: &Path) -> Done<PathBuf> {
    let lists = work.join("lists");
    fs::create_dir_all(lists.join("partial")).map_err(|error| lost(work, &error))?;
    if run(apt(work).args(["download", PACKAGE])).is_err() {
        let own = |command: &mut Command| {
            command.arg("-o").arg(format!("Dir::State::lists={}", lists.display()));
            command.arg("-o").arg(format!("Dir::Cache={}", work.display()));
        };
        let (mut update, mut again) = (apt(work), apt(work));
        own(&mut update);
        own(&mut again);
        run(update.arg("update"))?;
        run(again.args(["download", PACKAGE]))?;
    }
    let files = fs::read_dir(work).map_err(|error| lost(work, &error))?;
    let package = files.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    package.ok_or_else(|| Problem::new(format!("apt-get left no package of {PACKAGE} in {}", work.display())))
}

fn apt(work: &Path) -> Command {
    let mut command = Command::new("apt-get");
    // Without a network it is to fail soon.
    command.current_dir(work).args(["-q", "-q", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::Retries=1"]);
    command
}

/// Makes the program look for its templates in its working directory.
fn relocate(program: &Path) -> std::io::Result<()> {
    // Writing keeps the permissions.
    fs::write(program, relocated(fs::read(program)?))
}

/// Each place where the folder stands gets a path of the same length that means the working directory.
fn relocated(mut program: Vec<u8>) -> Vec<u8> {
    let here = format!(".{}", "/".repeat(SHARE.len() - 1));
    let mut at = 0;
    while let Some(found) = program[at..].windows(SHARE.len()).position(|bytes| bytes == SHARE.as_bytes()) {
        at += found;
        program[at..at + SHARE.len()].copy_from_slice(here.as_bytes());
    }
    program
}

fn run(command: &mut Command) -> Done {
    let name = command.get_program().display().to_string();
    let by_hand =
        |what: String| Problem::new(what).help(format!("install {PACKAGE} by hand, or do without: its test says that it was skipped"));
    let output =
        command.output().map_err(|error| by_hand(format!("Alertmanager is unpacked with {name}, which cannot be started: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(by_hand(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

fn lost(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{SHARE, relocated};

    #[test]
    fn a_program_that_is_relocated_keeps_its_length_and_loses_its_folder() {
        let program = format!("\0one{SHARE}/ui/two{SHARE}three").into_bytes();
        let moved = relocated(program.clone());
        assert_eq!(moved.len(), program.len());
        let text = String::from_utf8(moved).expect("it is text");
        assert!(!text.contains(SHARE) && text.starts_with("\0one./") && text.contains("//ui/two./") && text.ends_with("/three"), "{text}");
    }
}
