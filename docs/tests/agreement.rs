//! The reference and the code name the same things: metrics, outcomes, arguments, variables, targets.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

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

/// The labels of a metric by its name in a query, where there is such a metric. A histogram has three series.
fn labels(metrics: &str, name: &str) -> Option<BTreeSet<String>> {
    let row = |name: &str| metrics.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).map(str::to_owned);
    let mut parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| name.strip_suffix(part)).filter_map(row);
    let row = row(name).or_else(|| parts.rfind(|row| row.contains("| histogram |")))?;
    let column = row.split('|').nth(2)?.to_owned();
    let mut labels: BTreeSet<String> = after(&column, "`", word).into_iter().map(str::to_owned).collect();
    // What Prometheus adds.
    labels.extend(["job", "instance"].map(str::to_owned));
    Some(labels)
}

/// Every metric in these queries exists, and has the labels that it is asked for.
fn assert_queries(queries: &str) {
    let metrics = page("reference/metrics.md");
    let mut used = BTreeSet::new();
    for rest in queries.split("backstop_").skip(1) {
        let (name, rest) = rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len()));
        let name = format!("backstop_{name}");
        let labels = labels(&metrics, &name).unwrap_or_else(|| panic!("{name} is no metric"));
        let asked = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(selectors, _)| selectors);
        for selector in asked.split(',').filter(|selector| !selector.is_empty()) {
            let label: String = selector.chars().take_while(|c| word(*c)).collect();
            assert!(labels.contains(&label), "{name} has no label {label}");
        }
        used.insert(name);
    }
    assert!(used.len() > 5);
}

#[test]
fn alerts_use_metrics_that_exist_and_are_explained_one_by_one() {
    let rules = page("operations/backstop.rules.yml");
    assert_queries(&rules);
    let names = after(&rules, "- alert: ", word);
    assert_eq!(names, after(&page("operations/alerts.md"), "\n| `", word));
    assert!(names.len() > 8);
}

fn dashboard() -> Value {
    serde_json::from_str(&page("operations/backstop.dashboard.json")).expect("the dashboard is JSON")
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations").iter();
    let queries: Vec<&str> = targets.chain(annotations).map(|target| target["expr"].as_str().expect("a query")).collect();
    let queries = queries.join("\n");
    assert_queries(&queries);
    for name in after(&page("reference/metrics.md"), "\n| `backstop_", word) {
        assert!(queries.contains(&format!("backstop_{name}")), "no panel shows backstop_{name}");
    }
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}

/// The words in a list of the code's.
fn words_of(code: &str, list: &str) -> BTreeSet<String> {
    let list = code.split(&format!("{list}:")).nth(1).and_then(|rest| rest.split_once("= [")).expect("the list");
    let words = list.1.split_once(']').expect("its end").0;
    words.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn what_was_dropped_is_told_by_the_words_of_the_code_and_held_back_findings_have_a_panel() {
    let known = words_of(&read(&workspace().join("runtime/src/metrics/names.rs")), "DROPPED_WHAT");
    let metrics = page("reference/metrics.md");
    let row = metrics.lines().find(|line| line.starts_with("| `what` |")).expect("a row about `what`");
    assert!(known.contains("finding") && known.iter().all(|what| row.contains(&format!("`{what}`"))), "{known:?}");
    let dashboard = dashboard();
    let targets =
        dashboard["panels"].as_array().expect("panels").iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let panels: Vec<&str> = targets.map(|target| target["expr"].as_str().expect("a query")).collect();
    let queries = panels.join("\n") + &page("operations/backstop.rules.yml");
    for what in ["what=\"", "what!=\"", "what=~\""].iter().flat_map(|label| after(&queries, label, |c| word(c) || c == '|')) {
        assert!(what.split('|').all(|what| known.contains(what)), "nothing is dropped as {what}");
    }
    assert!(panels.iter().any(|query| query.contains("backstop_dropped_total{") && query.contains("what=\"finding\"")));
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
fn every_test_that_the_reference_names_exists() {
    let (code, page) = (code("runtime/tests") + &code("runtime/src"), page("reference/guarded-calls.md"));
    let tests: BTreeSet<&str> = page.split('`').filter(|text| text.contains("::")).filter_map(|text| text.rsplit("::").next()).collect();
    assert!(tests.len() > 40);
    for test in tests {
        // What a macro makes is its first argument.
        let exists = [format!("fn {test}()"), format!("!({test},")].iter().any(|text| code.contains(text));
        assert!(exists, "there is no test `{test}`");
    }
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
