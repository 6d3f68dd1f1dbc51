//! The reference and the code name the same things: metrics, outcomes, arguments, variables, targets.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("docs/ is in the workspace").to_path_buf()
}

fn page(name: &str) -> String {
    read(&workspace().join("docs/src").join(name))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust code in a folder.
fn code(folder: &str) -> String {
    fn collect(folder: &Path, code: &mut String) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                collect(&path, code);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                *code += &read(&path);
            }
        }
    }
    let mut all = String::new();
    collect(&workspace().join(folder), &mut all);
    all
}

/// What follows `before` in `text`, each time, as far as `belongs` reaches.
fn after<'a>(text: &'a str, before: &'a str, belongs: impl Fn(char) -> bool + Copy) -> BTreeSet<&'a str> {
    let found = text.split(before).skip(1).map(|rest| rest.split(|c| !belongs(c)).next().unwrap_or_default());
    found.filter(|name| !name.is_empty()).collect()
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[test]
fn the_reference_lists_every_metric_and_no_other() {
    let names = read(&workspace().join("runtime/src/metrics/names.rs"));
    let page = page("reference/metrics.md");
    let listed = after(&page, "\n| `backstop_", word);
    assert_eq!(listed, after(&names, "\"backstop_", word));
    assert!(listed.len() > 10);
}

#[test]
fn alerts_use_metrics_that_exist() {
    let (alerts, metrics) = (page("operations/alerts.md"), page("reference/metrics.md"));
    let used = after(&alerts, "backstop_", word);
    assert!(used.len() > 5);
    for name in used {
        assert!(metrics.contains(&format!("\n| `backstop_{name}` ")), "backstop_{name} is no metric");
    }
}

#[test]
fn the_reference_lists_every_outcome() {
    let page = page("reference/metrics.md");
    for outcome in backstop::Outcome::ALL {
        assert!(page.contains(&format!("\n| `{}` |", outcome.as_str())), "{outcome:?}");
    }
}

#[test]
fn the_reference_lists_every_argument_of_the_attributes() {
    let (code, page) = (code("macros/src"), page("reference/attributes.md"));
    let keys = after(&code, "Key { name: \"", word);
    assert!(keys.len() > 5);
    for key in keys {
        let listed = ["`", "#[migrate("].iter().any(|before| page.contains(&format!("{before}{key}")));
        assert!(listed, "`{key}` is not in the reference");
    }
}

#[test]
fn the_reference_lists_every_variable() {
    let (code, page) = (read(&workspace().join("runtime/src/policy/environment.rs")), page("reference/environment.md"));
    let names = after(&code, "&str = \"BACKSTOP_", word);
    assert_eq!(names, after(&page, "\n| `BACKSTOP_", word));
    assert!(names.len() > 2);
}

#[test]
fn the_reference_lists_every_target() {
    let (code, page) = (code("runtime/src"), page("reference/events.md"));
    assert_eq!(after(&page, "\n| `backstop::", word), after(&code, "target: \"backstop::", word));
}

#[test]
fn the_architecture_names_files_that_exist() {
    let page = page("architecture.md");
    let named = after(&page, "`runtime/src", |c| word(c) || c == '/' || c == '.');
    assert!(named.len() > 5);
    for file in named {
        assert!(workspace().join(format!("runtime/src{file}")).exists(), "runtime/src{file} does not exist");
    }
}
