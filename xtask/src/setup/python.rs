//! The active Python: where its torch is, its pip, a program run in it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::by_hand;
use crate::problem::Done;

/// Finds the folder without importing the package, which takes seconds and may fail on a machine without a GPU.
const TORCH_FOLDER: &str = "\
import importlib.util
spec = importlib.util.find_spec('torch')
print(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else '')";

/// A Python 3 that runs.
#[derive(Clone)]
pub struct Python(PathBuf);

impl Python {
    /// `python` of an active virtual environment, else `python3`: as torch-sys chooses.
    pub fn find() -> Done<Self> {
        let name = if env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
        let python = Self(PathBuf::from(name));
        if python.succeeds(&["-c", "import sys; sys.exit(sys.version_info < (3, 8))"]) {
            return Ok(python);
        }
        Err(by_hand(format!("making libtorch needs Python 3.8 or later, and `{name}` does not run"))
            .first("Debian, Ubuntu: apt install python3 python3-pip; Fedora: dnf install python3-pip; macOS: xcode-select --install"))
    }

    /// Python at this path.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// A command that runs this Python.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.stdin(Stdio::null());
        command
    }

    /// Whether a run with these arguments succeeds; its output is dropped.
    pub fn succeeds(&self, arguments: &[&str]) -> bool {
        let mut command = self.command();
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// The folder of the package torch, if it is installed.
    pub fn torch(&self) -> Option<PathBuf> {
        let output = self.command().args(["-c", TORCH_FOLDER]).output().ok()?;
        let folder = String::from_utf8(output.stdout).ok()?;
        let folder = Path::new(folder.trim());
        (!folder.as_os_str().is_empty()).then(|| folder.to_path_buf())
    }
}
