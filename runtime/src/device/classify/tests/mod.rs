//! The labelled set, and the forms a text comes in; the chains it hides in, the templates it was made from, and texts of no form at all.

mod chains;
mod random;
mod templates;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Backend, Class, Fault, text};

#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) text: String,
    backend: String,
    class: String,
    retry_on_cpu: bool,
    certainty: String,
}

pub(super) fn rows() -> Vec<Row> {
    let set = include_str!("../../../../tests/data/device_errors.jsonl");
    set.lines().map(|line| serde_json::from_str(line).expect("a row of the set")).collect()
}

/// What the row asks for: `None` where the CPU could not help because it is no accelerator's fault.
fn expected(row: &Row) -> Option<(&str, &str, bool)> {
    let class = match row.class.as_str() {
        "not_device" | "warning_text" | "cpu_out_of_memory" | "device_reported_user_error" | "process_abort" => return None,
        "sticky_context" => "poisoned",
        class => class,
    };
    (row.backend != "cpu").then_some((row.backend.as_str(), class, row.retry_on_cpu))
}

fn found(text: &str) -> Option<(&'static str, &'static str, bool)> {
    super::text(text).map(|fault| (backend(&fault), fault.class.as_str(), fault.retry))
}

pub(super) fn backend(fault: &Fault) -> &'static str {
    match fault.backend {
        Backend::Mps => "mps",
        Backend::Cuda => "cuda",
        Backend::Other => "other",
    }
}

#[test]
fn every_clear_row_of_the_set_is_right() {
    let wrong: Vec<String> = rows()
        .iter()
        .filter(|row| row.certainty == "clear" && found(&row.text) != expected(row))
        .map(|row| format!("{:?} instead of {:?}: {:.200}", found(&row.text), expected(row), row.text))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Rows of the whole set, process-ending ones apart: they never reach Rust.
#[derive(Default, Clone, Copy)]
struct Tally {
    rows: u32,
    given: u32,
    right: u32,
}

fn tallies() -> BTreeMap<&'static str, Tally> {
    let mut table: BTreeMap<&str, Tally> = Class::ALL.iter().map(|class| (class.as_str(), Tally::default())).collect();
    for row in rows().iter().filter(|row| row.certainty != "uncatchable") {
        let (wanted, given) = (expected(row).map(|row| row.1), found(&row.text).map(|found| found.1));
        for class in Class::ALL.map(Class::as_str) {
            let tally = table.get_mut(class).expect("every class has a line");
            tally.rows += u32::from(wanted == Some(class));
            tally.given += u32::from(given == Some(class));
            tally.right += u32::from(wanted == Some(class) && given == wanted);
        }
    }
    table
}

fn ratio(part: u32, whole: u32) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.3}", f64::from(part) / f64::from(whole)) }
}

fn table() -> String {
    let tallies = tallies();
    let line = |name: &str, tally: Tally| {
        format!("| `{name}` | {} | {} | {} |\n", tally.rows, ratio(tally.right, tally.given), ratio(tally.right, tally.rows))
    };
    let mut table = "| class | rows | precision | recall |\n|---|---|---|---|\n".to_owned();
    let mut all = Tally::default();
    for class in Class::ALL {
        let tally = tallies[class.as_str()];
        all = Tally { rows: all.rows + tally.rows, given: all.given + tally.given, right: all.right + tally.right };
        table += &line(class.as_str(), tally);
    }
    let sum = format!("| all | {} | {} | {} |\n", all.rows, ratio(all.right, all.given), ratio(all.right, all.rows));
    table + &sum
}

#[test]
fn the_reference_page_shows_the_table_of_precision_and_recall() {
    let table = table();
    println!("{table}");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/reference/device-errors.md");
    let page = std::fs::read_to_string(page).expect("the reference page");
    assert!(page.contains(&table), "docs/src/reference/device-errors.md holds another table than this one:\n{table}");
}

#[test]
fn precision_and_recall_stay_above_the_floor() {
    let all = tallies().into_values().fold(Tally::default(), |sum, tally| Tally {
        rows: sum.rows + tally.rows,
        given: sum.given + tally.given,
        right: sum.right + tally.right,
    });
    assert!(f64::from(all.right) / f64::from(all.given) >= 0.98, "precision {} of {}", all.right, all.given);
    assert!(f64::from(all.right) / f64::from(all.rows) >= 0.98, "recall {} of {}", all.right, all.rows);
}

const UNSUPPORTED: &str =
    "The operator 'aten::ormqr' is not currently implemented for the MPS device. If you want this op to be \"considered\"";
pub(super) const FRAMES: &str = "\nException raised from mps_error_fallback at /Users/runner/aten/src/ATen/mps/MPSFallback.mm:37 (most recent call first):\nframe \
                      #0: c10::Error::Error + 0x9d (0x7f in /home/user/mps-lab/libc10.so)";

#[test]
fn one_fault_reads_the_same_in_every_form() {
    let bare = text(UNSUPPORTED).expect("a fault");
    assert_eq!((bare.backend, bare.class, bare.retry), (Backend::Mps, Class::UnsupportedOp, true));
    assert_eq!(bare.operator.as_deref(), Some("aten::ormqr"));
    assert_eq!(bare.reason, UNSUPPORTED);
    let full = format!("{UNSUPPORTED}{FRAMES}");
    let forms = [
        full.clone(),
        format!("Internal torch error: {full}"),
        format!("layer.0: {full}"),
        format!("called `Result::unwrap()` on an `Err` value: Torch({full:?})"),
        format!("the policy net: Torch({full:?})"),
        format!("step failed: Err(Device(Torch({full:?})))"),
        format!("{:#?}", Wrapped::Torch(full.clone())),
    ];
    for form in forms {
        let mut fault = text(&form).unwrap_or_else(|| panic!("not recognised: {form}"));
        fault.reason = fault.reason.trim_start_matches("layer.0: ").to_owned();
        assert_eq!(
            fault.trace,
            "Exception raised from mps_error_fallback at /Users/runner/aten/src/ATen/mps/MPSFallback.mm:37 (most recent call first):\nframe #0: c10::Error::Error"
        );
        fault.trace.clear();
        assert_eq!(fault, bare, "{form}");
    }
}

#[derive(Debug)]
enum Wrapped {
    #[allow(dead_code, reason = "read by Debug")]
    Torch(String),
}
