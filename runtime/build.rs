//! Writes libtorch's folder into the binaries (rpath), so that they run without any environment variable, and the compiler's version
//! into the reports; says with `native_stacks` where stacks can be captured.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
    if stacks() {
        println!("cargo::rustc-cfg=native_stacks");
    }
    println!("cargo::rustc-check-cfg=cfg(native_stacks)");
    println!("cargo::rustc-env=BACKSTOP_RUSTC={}", compiler().unwrap_or_else(|| "rustc".to_owned()));
}

/// `rustc 1.95.0 (…)` without what stands in brackets.
fn compiler() -> Option<String> {
    let output = Command::new(std::env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(version.split(" (").next()?.trim().to_owned())
}

/// Whether native stacks can be captured: only where the registers, the signal and procfs are known.
fn stacks() -> bool {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|set| set == value);
    is("CARGO_FEATURE_STACKS", "1") && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ARCH", "x86_64")
}
