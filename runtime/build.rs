//! Writes libtorch's folder into the binaries (rpath), so that they run without any environment variable, and the compiler's version
//! into the reports.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
    println!("cargo::rustc-env=BACKSTOP_RUSTC={}", compiler().unwrap_or_else(|| "rustc".to_owned()));
}

/// `rustc 1.95.0 (…)` without what stands in brackets.
fn compiler() -> Option<String> {
    let output = Command::new(std::env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(version.split(" (").next()?.trim().to_owned())
}
