//! Patterns over function names: `*` is any text within one `::` segment, `**` any number of whole segments.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A function name, or a glob over such names.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Arc<str>);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without its beginning: the caller knows what to call the pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim() != text || text.is_empty() {
            return Err("is empty or has blanks around it".to_owned());
        }
        match text.split("::").find(|segment| !is_segment(segment)) {
            None => Ok(Self(text.into())),
            Some("") => Err("has an empty segment between `::`".to_owned()),
            Some(segment) => Err(format!("has the segment `{segment}`: `**` stands for whole segments and must be alone")),
        }
    }

    /// The text it was read from.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a name rather than a glob.
    pub(crate) fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether `name` is this name, or one of those that this glob describes.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if self.is_exact() {
            return *self.0 == *name;
        }
        let pattern: Vec<&str> = self.0.split("::").collect();
        let name: Vec<&str> = name.split("::").collect();
        segments_match(&pattern, &name)
    }

    /// `Greater` where this pattern is the more specific one.
    ///
    /// A name is more specific than any glob; of two globs the one with more characters that are no `*`, then the one with fewer `**`, then the
    /// one with fewer `*`.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    fn rank(&self) -> (bool, usize, std::cmp::Reverse<(usize, usize)>) {
        let segments = self.0.split("::");
        let deep = segments.clone().filter(|segment| *segment == "**").count();
        let literal = segments.flat_map(str::chars).filter(|character| *character != '*').count();
        let stars = self.0.matches('*').count() - 2 * deep;
        (self.is_exact(), literal, std::cmp::Reverse((deep, stars)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

fn is_segment(segment: &str) -> bool {
    segment == "**" || (!segment.is_empty() && !segment.contains("**"))
}

/// Row by row over the pattern, so that no pattern costs more than its length times the name's.
fn segments_match(pattern: &[&str], name: &[&str]) -> bool {
    wildcard_match(pattern, name, |part| *part == "**", |part, segment| text_matches(part, segment))
}

fn text_matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    wildcard_match(&pattern, &text, |part| *part == '*', |part, character| part == character)
}

/// Whether `items` can be read as `pattern`, in which every `wild` element stands for any number of items.
fn wildcard_match<P, I>(pattern: &[P], items: &[I], wild: impl Fn(&P) -> bool, same: impl Fn(&P, &I) -> bool) -> bool {
    // reached[n]: the pattern so far can stand for the first n items.
    let mut reached = vec![false; items.len() + 1];
    reached[0] = true;
    for part in pattern {
        if wild(part) {
            let first = reached.iter().position(|reached| *reached).unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        for (n, item) in items.iter().enumerate().rev() {
            reached[n + 1] = reached[n] && same(part, item);
        }
        reached[0] = false;
    }
    reached[items.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn one_star_stays_within_its_segment() {
        assert!(pattern("api::*").matches("api::fetch"));
        assert!(pattern("api::fetch_*").matches("api::fetch_quotes"));
        assert!(!pattern("api::*").matches("api::v2::fetch"));
        assert!(!pattern("api::*").matches("api"));
    }

    #[test]
    fn two_stars_are_any_number_of_segments() {
        for name in ["api::fetch", "api::v2::fetch", "api::v2::eu::fetch"] {
            assert!(pattern("api::**::fetch").matches(name), "{name}");
        }
        assert!(pattern("**").matches("anything::at::all"));
        assert!(!pattern("api::**::fetch").matches("api::fetch::all"));
    }

    #[test]
    fn a_name_beats_a_glob_and_a_longer_glob_a_shorter_one() {
        let order = ["**", "*::*", "api::**", "api::*", "api::f*", "api::fetch"];
        for pair in order.windows(2) {
            assert_eq!(pattern(pair[0]).compare(&pattern(pair[1])), Ordering::Less, "{pair:?}");
        }
        assert_eq!(pattern("a*::b").compare(&pattern("*a::b")), Ordering::Equal);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", " api", "api::", "::api", "api::a**b"] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
    }

    /// The definition, without care for speed.
    fn naive(pattern: &[&str], name: &[&str]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), None) => naive(rest, name),
            (Some((&"**", rest)), Some((_, names))) => naive(rest, name) || naive(pattern, names),
            (Some((part, rest)), Some((first, names))) => naive_text(part, first) && naive(rest, names),
            _ => false,
        }
    }

    fn naive_text(pattern: &str, text: &str) -> bool {
        match (pattern.chars().next(), text.chars().next()) {
            (None, None) => true,
            (Some('*'), None) => naive_text(&pattern[1..], text),
            (Some('*'), Some(_)) => naive_text(&pattern[1..], text) || naive_text(pattern, &text[1..]),
            (Some(a), Some(b)) => a == b && naive_text(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(
            parts in prop::collection::vec(prop_oneof![Just("**".to_owned()), "[ab]{1,2}", "[ab]?\\*[ab]?"], 1..5),
            name in prop::collection::vec("[ab]{1,3}", 1..5),
        ) {
            let (text, name) = (parts.join("::"), name.join("::"));
            let parts: Vec<&str> = text.split("::").collect();
            let names: Vec<&str> = name.split("::").collect();
            prop_assert_eq!(pattern(&text).matches(&name), naive(&parts, &names));
        }

        #[test]
        fn every_name_matches_itself_and_its_globs(name in "[a-z]{1,4}(::[a-z]{1,4}){0,3}", cut in 0_usize..4) {
            prop_assert!(pattern(&name).matches(&name));
            let mut segments: Vec<&str> = name.split("::").collect();
            let at = cut.min(segments.len() - 1);
            segments[at] = "*";
            let glob = pattern(&segments.join("::"));
            prop_assert!(glob.matches(&name));
            prop_assert_eq!(pattern(&name).compare(&glob), Ordering::Greater);
        }
    }
}
