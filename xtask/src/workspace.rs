//! Where this workspace is, and cargo as its commands call it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use crate::problem::{Done, Problem};

/// The link that `.cargo/config.toml` names.
pub const LINK: &str = ".libtorch";

/// The folder that holds the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// The user's own `LIBTORCH`. Cargo hands `[env]` of `.cargo/config.toml` to this program too, so its value is not theirs.
pub fn user_libtorch() -> Option<PathBuf> {
    let value = PathBuf::from(env::var_os("LIBTORCH")?);
    (value != root().join(LINK)).then_some(value)
}

/// Cargo in this workspace, as if the user had typed it: torch-sys compiles its C++ anew whenever `LIBTORCH` changes, and "set by
/// cargo's configuration" must not look different from "set in the environment".
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(root());
    if user_libtorch().is_none() {
        cargo.env_remove("LIBTORCH");
    }
    cargo
}

/// Runs a command with this program's terminal.
pub fn run(command: &mut Command) -> Done<ExitStatus> {
    command.status().map_err(|error| Problem::new(format!("cannot start {}: {error}", command.get_program().display())))
}

/// A command's end as this program's own.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    ExitCode::from(code)
}
