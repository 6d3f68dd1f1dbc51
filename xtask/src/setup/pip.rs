//! pip: found or made, and what its failures mean.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::by_hand;
use super::platform::Platform;
use super::python::Python;
use crate::problem::{Done, Problem};
use crate::progress;

/// A pip that runs.
pub struct Pip {
    python: Python,
}

impl Pip {
    /// The pip of this Python; where it has none (Debian), one in a throw-away environment inside `work`.
    pub fn find(python: &Python, work: &Path) -> Done<Self> {
        if python.succeeds(&["-m", "pip", "--version"]) {
            return Ok(Self { python: python.clone() });
        }
        let folder = work.join("pip");
        if python.succeeds(&["-m", "venv", &folder.to_string_lossy()]) {
            return Ok(Self { python: Python::at(folder.join("bin").join("python")) });
        }
        Err(by_hand("making libtorch needs pip, and this Python has neither pip nor a complete venv")
            .first("Debian, Ubuntu: apt install python3-pip (or python3-venv); Fedora: dnf install python3-pip"))
    }

    /// Fetches the wheels of `platform` into `folder`; pip checks their hashes.
    pub fn download(&self, platform: &Platform, requirements: &Path, folder: &Path) -> Done {
        let mut command = self.python.command();
        command.args(["-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir"]);
        command.args(platform.options()).arg("--requirement").arg(requirements).arg("--dest").arg(folder);
        command.env("PIP_REQUIRE_VIRTUALENV", "0").env("PIP_NO_INPUT", "1").env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        let complaint = progress::with_signs_of_life("downloading", || run(&mut command))?;
        complaint.map_or(Ok(()), |complaint| Err(explain(&complaint)))
    }
}

/// Runs pip with its own progress bar on standard output; what it says on standard error, if it fails.
fn run(command: &mut Command) -> Done<Option<String>> {
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Problem::new(format!("cannot start {}: {error}", command.get_program().display())))?;
    let mut complaint = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("  {line}");
            complaint += &line;
            complaint.push('\n');
        }
    }
    let status = child.wait().map_err(|error| Problem::new(format!("pip was lost: {error}")))?;
    Ok((!status.success()).then_some(complaint))
}

/// What pip's last words mean for the user. The first text that is found decides.
fn explain(complaint: &str) -> Problem {
    let has = |texts: &[&str]| texts.iter().any(|text| complaint.contains(text));
    if has(&["DO NOT MATCH THE HASHES"]) {
        return by_hand("a downloaded wheel is not the published file: its hash differs")
            .first("try again; if it stays, the package index you use serves changed files");
    }
    if has(&["No space left"]) {
        return Problem::new("the disk filled up while the wheels came in")
            .help("free some space, or choose another disk: XDG_CACHE_HOME=/path/on/it cargo xtask setup");
    }
    if has(&["NewConnectionError", "Failed to establish", "name resolution", "NameResolutionError", "Name or service not known"])
        || has(&["timed out", "Network is unreachable", "ProxyError", "SSLError", "ConnectionResetError", "Connection refused"])
    {
        return by_hand("pip could not reach its package index")
            .first("check the network; a proxy or a mirror is set in pip's own way (HTTPS_PROXY, `pip config`)");
    }
    if has(&["No matching distribution", "Could not find a version"]) {
        return by_hand("pip found no such wheel: its package index cannot be reached, or does not offer it")
            .first("check the network, and which index pip uses: `pip config list`");
    }
    by_hand("pip could not download the wheels; its own words are above")
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn a_missing_network_is_told_from_a_missing_wheel() {
        let offline = "WARNING: Retrying after connection broken by 'NewConnectionError(...): Failed to establish a new connection'\n\
                       ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)\n\
                       ERROR: No matching distribution found for torch==2.13.0\n";
        assert!(explain(offline).to_string().contains("could not reach its package index"));
        let absent = "ERROR: No matching distribution found for torch==2.13.0\n";
        assert!(explain(absent).to_string().contains("or does not offer it"));
    }

    #[test]
    fn a_changed_file_is_called_by_its_name() {
        let complaint = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.";
        assert!(explain(complaint).to_string().contains("its hash differs"));
    }

    #[test]
    fn a_full_disk_is_told() {
        assert!(explain("OSError: [Errno 28] No space left on device").to_string().contains("disk filled up"));
    }
}
