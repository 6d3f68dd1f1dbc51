//! The C++ compiler that torch-sys and the simulated device need.

use std::env;
use std::process::{Command, Stdio};

use crate::problem::{Done, Problem};

/// Checks that `$CXX`, or else `c++`, runs.
pub fn check() -> Done {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    // `CXX="ccache g++"` is usual.
    let mut words = compiler.split_whitespace();
    let program = words.next().unwrap_or("c++");
    let runs = Command::new(program).args(words).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if runs.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Problem::new(format!("tch is compiled with a C++ compiler, and `{compiler}` does not run"))
        .help("Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install")
        .help("or name yours: CXX=/path/to/c++ cargo xtask setup"))
}
