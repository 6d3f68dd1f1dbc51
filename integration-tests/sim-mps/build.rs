//! Compiles the simulated device against the libtorch that tch links, and writes libtorch's folder into this crate's tests (rpath).

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-changed=cpp");
    // On a Mac the real device is there.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let Ok(libraries) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        panic!("torch-sys did not say where libtorch is: run `cargo xtask setup`, or set LIBTORCH to a libtorch 2.13");
    };
    let include = include_folder(&libraries);
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .pic(true)
        .warnings(false)
        .flag("-Wno-deprecated-declarations")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .files(["orders", "device", "lend", "kernels"].map(|name| format!("cpp/{name}.cpp")))
        .compile("sim_mps");
    println!("cargo::rustc-link-search=native={libraries}");
    println!("cargo::rustc-link-lib=dylib=torch_cpu");
    println!("cargo::rustc-link-lib=dylib=c10");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
}

/// The headers beside the libraries, or where `LIBTORCH_INCLUDE` has them.
fn include_folder(libraries: &str) -> PathBuf {
    let root = std::env::var_os("LIBTORCH_INCLUDE").map_or_else(|| PathBuf::from(libraries).join(".."), PathBuf::from);
    let include = root.join("include");
    assert!(include.join("ATen").is_dir(), "{} holds no libtorch headers: set LIBTORCH_INCLUDE to their parent", include.display());
    include
}
