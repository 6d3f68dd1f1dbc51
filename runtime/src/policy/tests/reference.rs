//! The page of the book that describes policies, against the code.

use super::*;
use crate::policy::file::rules::{DEVICE_KEYS, KEYS};
use crate::policy::file::watchdog;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/policies.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_reference_describes_every_key() {
    let page = page();
    for key in KEYS {
        assert!(page.contains(&format!("\n| `{key}` |")), "{key}");
    }
}

#[test]
fn the_reference_describes_every_key_of_a_device_table() {
    let page = page();
    let table = page.split("### `device`").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("there is a table of them");
    for key in DEVICE_KEYS {
        assert!(table.contains(&format!("\n| `{key}` |")), "{key}");
    }
}

#[test]
fn the_reference_describes_every_key_of_the_watchdog() {
    let page = page();
    let table = page.split("## `[watchdog]`").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("there is a table of them");
    for key in watchdog::KEYS {
        assert!(table.contains(&format!("\n| `{key}` |")), "{key}");
    }
}

#[cfg(all(feature = "webhook", feature = "inject"))]
#[test]
fn every_example_of_the_reference_is_taken() {
    let page = page();
    let examples: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        load(example).unwrap_or_else(|error| panic!("{error}"));
    }
}
