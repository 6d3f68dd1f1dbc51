//! The steps of `cargo xtask test`, in their order: cheap ones first, and cargo test's own closing lines at the end.

use std::fmt;

use super::features;
use crate::problem::Done;

/// One thing that is checked.
pub struct Step {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What has been shown when it passes.
    pub what: &'static str,
    /// Whether it compiles tch.
    pub needs_libtorch: bool,
    /// Calls of cargo; each must succeed.
    pub calls: Vec<Call>,
}

/// One call of cargo.
pub struct Call {
    /// After `cargo`.
    pub arguments: Vec<String>,
    /// Set for this call.
    pub environment: Option<(&'static str, &'static str)>,
}

/// All steps, in their order.
pub const NAMES: [&str; 9] = ["fmt", "clippy", "clippy-tch", "features", "doc", "book", "bare", "disabled", "test"];

/// The step with the test that pages Alertmanager.
pub const TESTS_ALERTMANAGER: &str = "bare";

/// The steps of `--fast`.
pub const FAST: [&str; 3] = ["fmt", "clippy", "bare"];

/// All steps with their calls.
pub fn all() -> Done<Vec<Step>> {
    let tch = "--features=backstop/prometheus,backstop/inject,backstop/tch,book/tch";
    Ok(vec![
        step("fmt", "every file is formatted", false, vec![call("fmt --all --check")]),
        step("clippy", "no warning without libtorch", false, vec![call("clippy --all-targets -- -D warnings")]),
        step(
            "clippy-tch",
            "no warning with everything switched on",
            true,
            vec![
                call(&format!("clippy --workspace --all-targets {tch} -- -D warnings")),
                call("clippy --package backstop --package backstop-macros --all-features -- -D warnings"),
            ],
        ),
        step("features", "each feature alone compiles without a warning", false, features::alone()?.iter().map(lint_alone).collect()),
        step("doc", "the API pages build, and their links lead somewhere", true, vec![documentation()]),
        step("book", "the book builds, and its links lead somewhere", false, vec![call("run --package book --features render")]),
        step("bare", "what a machine without libtorch can test: plain `cargo test`", false, vec![call("test --no-fail-fast")]),
        step(
            "disabled",
            "the demo works with its attributes switched off",
            true,
            vec![call("test --package backstop --features disable-decorators --test disabled"), disabled()],
        ),
        step(
            "test",
            "the rest, with libtorch: backstop with every feature, the trading system, the book, the compiler's words",
            true,
            vec![with_libtorch(tch)],
        ),
    ])
}

/// The list for `--help`.
pub fn list() -> String {
    all().map(|steps| steps.iter().map(|step| format!("  {:<11} {}\n", step.name, step.what)).collect()).unwrap_or_default()
}

fn step(name: &'static str, what: &'static str, needs_libtorch: bool, calls: Vec<Call>) -> Step {
    Step { name, what, needs_libtorch, calls }
}

fn call(arguments: &str) -> Call {
    Call { arguments: arguments.split_whitespace().map(str::to_owned).collect(), environment: None }
}

fn lint_alone(feature: &String) -> Call {
    let feature = if feature.is_empty() { String::new() } else { format!("--features {feature}") };
    call(&format!("clippy --package backstop --no-default-features {feature} -- -D warnings"))
}

/// Only packages whose binaries know where libtorch lies; the others were tested without it.
fn with_libtorch(features: &str) -> Call {
    let packages =
        ["backstop", "backstop-integration-tests", "backstop-integration-tests-2018", "sim-mps", "book", "backstop-ui-tests-tch"]
            .map(|name| format!("--package {name}"));
    call(&format!("test --no-fail-fast {} {features}", packages.join(" ")))
}

fn disabled() -> Call {
    call("test --no-fail-fast --package backstop-integration-tests --features disable-decorators")
}

fn documentation() -> Call {
    let mut call =
        call("doc --no-deps --package backstop --package backstop-macros --features backstop/prometheus,backstop/inject,backstop/tch");
    call.environment = Some(("RUSTDOCFLAGS", "-D warnings"));
    call
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, value)) = self.environment {
            write!(f, "{name}='{value}' ")?;
        }
        write!(f, "cargo {}", self.arguments.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::{FAST, NAMES, all};

    #[test]
    fn the_names_are_the_steps() {
        let steps: Vec<_> = all().expect("the manifest of backstop can be read").iter().map(|step| step.name).collect();
        assert_eq!(steps, NAMES);
        assert!(FAST.iter().all(|name| NAMES.contains(name)));
    }

    #[test]
    fn cargo_tests_closing_lines_come_last() {
        let steps = all().expect("the manifest of backstop can be read");
        assert_eq!(steps.last().expect("there are steps").calls.last().expect("there is a call").arguments[0], "test");
    }
}
