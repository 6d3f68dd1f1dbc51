//! What the compiler says about misuse of the attributes. Every rule that refuses something has a case in `tests/fail/`, whose messages are
//! recorded word for word.
//!
//! Messages differ from compiler to compiler, so the words are compared only on the one that they were recorded with; elsewhere the
//! cases must still be refused.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The compiler that the `.stderr` files come from.
const RECORDED_WITH: &str = "rustc 1.95.";

/// Compiles the cases in `tests/fail` of the calling package; `scratch` is its `CARGO_TARGET_TMPDIR`.
///
/// # Panics
///
/// A case is accepted, or refused in other words.
pub fn every_case_is_refused(scratch: &str) {
    let version = version();
    let copies = Path::new(scratch).join("fail");
    if version.starts_with(RECORDED_WITH) {
        trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
    } else if env::var_os("TRYBUILD").is_some() {
        trybuild::TestCases::new().compile_fail(copies.join("*.rs"));
    } else {
        println!("the messages were recorded with {RECORDED_WITH}x, and this is {version}: checking only that every case is refused");
        copy_cases(&copies);
        let this_test = env::current_exe().expect("this test is a program");
        let status = Command::new(this_test).env("TRYBUILD", "overwrite").status().expect("it starts again");
        assert!(status.success(), "a case was not refused");
    }
}

fn version() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc is there, for it has built this test");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Without their recorded messages.
fn copy_cases(copies: &Path) {
    fs::create_dir_all(copies).expect("a folder for the copies");
    for case in fs::read_dir("tests/fail").expect("the cases") {
        let case = case.expect("a case").path();
        if case.extension() == Some(OsStr::new("rs")) {
            let copy = copies.join(case.file_name().expect("a file"));
            fs::copy(&case, copy).expect("a copy");
        }
    }
}
