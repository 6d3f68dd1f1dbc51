//! The features of `backstop`, as its manifest lists them: a new one is checked without being named here.

use std::fs;

use crate::problem::{Done, Problem};
use crate::workspace;

/// Needs libtorch and is checked with everything else.
const ELSEWHERE: [&str; 2] = ["default", "tch"];

/// Every feature that compiles on a bare machine; the empty name stands for none at all.
pub fn alone() -> Done<Vec<String>> {
    let path = workspace::root().join("runtime").join("Cargo.toml");
    let manifest = fs::read_to_string(&path).map_err(|error| Problem::file("read", &path, &error))?;
    let mut features = vec![String::new()];
    features.extend(listed(&manifest).filter(|feature| !ELSEWHERE.contains(feature)).map(str::to_owned));
    Ok(features)
}

fn listed(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.lines().skip_while(|line| line.trim() != "[features]").skip(1);
    let section = section.take_while(|line| !line.starts_with('['));
    section.filter(|line| !line.trim_start().starts_with('#')).filter_map(|line| Some(line.split_once('=')?.0.trim()))
}

#[cfg(test)]
mod tests {
    use super::{alone, listed};

    #[test]
    fn the_keys_of_the_section_are_the_features() {
        let manifest =
            "[package]\nname = \"x\"\n\n[features]\n# a = 1\ndefault = [\"b\"]\nb = []\nc-d = [\"b\"]\n\n[dependencies]\ne = \"1\"\n";
        assert_eq!(listed(manifest).collect::<Vec<_>>(), ["default", "b", "c-d"]);
    }

    #[test]
    fn the_real_manifest_is_understood() {
        let features = alone().expect("the manifest of backstop can be read");
        assert_eq!(features[0], "");
        assert!(features.iter().any(|feature| feature == "prometheus"), "{features:?}");
        assert!(!features.iter().any(|feature| feature == "tch"), "{features:?}");
    }
}
