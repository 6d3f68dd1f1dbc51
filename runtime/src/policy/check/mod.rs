//! Judges what a file says as a whole: does it fit the functions of this program, and do its rules fit together?

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use humantime::format_duration;

use super::nearest::nearest;
use super::origin::Origin;
use super::problem::Problem;
use super::rules::Rules;
use super::set::{Entry, PolicyFile};
use crate::site::{Kind, Site};

mod fit;

/// Everything that is wrong with `file`, of which `text` is the text, in a program that has these functions.
pub(crate) fn check(file: &PolicyFile, text: &str, sites: &[&'static Site]) -> Vec<Problem> {
    // A build with its attributes switched off has no functions, and must start with the same file all the same.
    if cfg!(feature = "disable-decorators") {
        return Vec::new();
    }
    let mut problems: Vec<Problem> = file.functions.iter().flat_map(|entry| check_entry(entry, text, sites)).collect();
    problems.extend(ties(file, sites));
    problems.extend(fit::contradictions(file, text, sites));
    problems.extend(file.never_aborts().map(|origin| never_aborts(text, origin)));
    #[cfg(feature = "inject")]
    problems.extend(file.injections.iter().filter_map(|rule| check_injection(rule, text, sites)));
    problems
}

fn never_aborts(text: &str, origin: &Origin) -> Problem {
    let message = "`on_runtime_stall` is \"abort\", but with runtime_stalled_after = \"none\" no runtime is ever stalled";
    Problem::at(line_span(text, origin), message).help("write a duration, as in runtime_stalled_after = \"30s\"")
}

fn check_entry(entry: &Entry, text: &str, sites: &[&'static Site]) -> Vec<Problem> {
    let matched: Vec<&'static Site> = sites.iter().copied().filter(|site| entry.pattern.matches(site.name())).collect();
    if matched.is_empty() {
        return vec![unmatched(entry.pattern.as_str(), entry.span.clone(), sites)];
    }
    without_effect(entry, text, &matched)
}

fn unmatched(pattern: &str, span: Range<usize>, sites: &[&'static Site]) -> Problem {
    let problem = Problem::at(span, format!("`{pattern}` matches no annotated function"));
    match nearest(pattern, sites.iter().map(|site| site.name())) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None if sites.is_empty() => {
            problem.help("this program has no annotated function; a crate that nothing uses needs `use that_crate as _;`")
        }
        None => problem.help("`explain` and the metrics name every annotated function"),
    }
}

/// Keys that none of the matched functions listens to.
fn without_effect(entry: &Entry, text: &str, matched: &[&'static Site]) -> Vec<Problem> {
    let guarded = matched.iter().any(|site| site.kind() == Kind::TimeoutAsync);
    let tensors = matched.iter().any(|site| site.kind() == Kind::SafeMpsOp);
    let again = matched.iter().any(|site| site.settings().retry.is_some());
    let rules = &entry.rules;
    let mut problems = Vec::new();
    let mut useless = |key: &str, origin: &Origin, reason: &str, help: &str| {
        let message = format!("`{key}` has no effect: {reason} `{}`", entry.pattern);
        problems.push(Problem::at(line_span(text, origin), message).help(help));
    };
    for (key, origin) in timing_keys(rules).into_iter().filter(|_| !guarded) {
        useless(key, origin, "#[timeout_async] is not on", "add #[timeout_async] to the function, or remove the key");
    }
    if let Some(enabled) = rules.enabled.as_ref().filter(|_| !guarded) {
        let help = "write device = { fallback = false } to switch the device fallback off";
        useless("enabled", &enabled.origin, "#[timeout_async] is not on", help);
    }
    if let Some(retry) = rules.retry.as_ref().filter(|retry| retry.value.is_some() && !again && guarded) {
        useless("retry", &retry.origin, "no attribute allows another call of", "add `retry` to the attribute: #[timeout_async(retry)]");
    }
    if let Some(device) = rules.device.as_ref().filter(|_| !tensors) {
        useless("device", &device.origin, "#[safe_mps_op] is not on", "add #[safe_mps_op] to the function, or remove the key");
    }
    problems
}

/// The keys that are for `#[timeout_async]` alone.
fn timing_keys(rules: &Rules) -> Vec<(&'static str, &Origin)> {
    let keys = [
        ("fenced", rules.fenced.as_ref().map(|set| &set.origin)),
        ("timeout", rules.timeout.as_ref().map(|set| &set.origin)),
        ("idle", rules.idle.as_ref().map(|set| &set.origin)),
        ("total", rules.total.as_ref().map(|set| &set.origin)),
        ("warn_at", rules.warn_at.as_ref().map(|set| &set.origin)),
        ("grace", rules.grace.as_ref().map(|set| &set.origin)),
        ("on_timeout", rules.on_timeout.as_ref().map(|set| &set.origin)),
        ("on_late", rules.on_late.as_ref().map(|set| &set.origin)),
        ("inherit", rules.inherit.as_ref().map(|set| &set.origin)),
        ("blocked_after", rules.blocked_after.as_ref().map(|set| &set.origin)),
        ("retry", rules.retry.as_ref().map(|set| &set.origin)),
        ("breaker", rules.breaker.as_ref().map(|set| &set.origin)),
        ("rate_limit", rules.rate_limit.as_ref().map(|set| &set.origin)),
        ("concurrency", rules.concurrency.as_ref().map(|set| &set.origin)),
    ];
    keys.into_iter().filter_map(|(key, origin)| Some((key, origin?))).collect()
}

/// Pairs of entries of which none is the more specific one for some function.
fn ties(file: &PolicyFile, sites: &[&'static Site]) -> Vec<Problem> {
    let mut found: BTreeMap<(usize, usize), Problem> = BTreeMap::new();
    for site in sites {
        let Some(best) = file.entry(site.name()) else { continue };
        let mut equal: Vec<&Entry> =
            file.matching(site.name()).into_iter().filter(|entry| entry.pattern.compare(&best.pattern).is_eq()).collect();
        equal.sort_by_key(|entry| entry.span.start);
        if let [first, second, ..] = equal[..] {
            found.entry((first.span.start, second.span.start)).or_insert_with(|| tie(first, second, site.name()));
        }
    }
    found.into_values().collect()
}

fn tie(first: &Entry, second: &Entry, name: &str) -> Problem {
    let line = line_of(&first.origin).unwrap_or_default();
    let message = format!("`{}` and `{}` (line {line}) are equally specific, and both match `{name}`", second.pattern, first.pattern);
    Problem::at(second.span.clone(), message).help(format!("add [functions.\"{name}\"], or make one of them more specific"))
}

#[cfg(feature = "inject")]
fn check_injection(rule: &crate::inject::Rule, text: &str, sites: &[&'static Site]) -> Option<Problem> {
    let span = line_span(text, rule.origin()?);
    let mut matched = sites.iter().filter(|site| rule.function().matches(site.name())).peekable();
    if matched.peek().is_none() {
        return Some(unmatched(rule.function().as_str(), span, sites));
    }
    if rule.is_for_devices() && !matched.any(|site| site.kind() == Kind::SafeMpsOp) {
        let message = format!("the fault `device` has no effect: #[safe_mps_op] is not on `{}`", rule.function());
        return Some(Problem::at(span, message));
    }
    None
}

/// What is written in the line of a key.
fn line_span(text: &str, origin: &Origin) -> Range<usize> {
    let Some(line) = line_of(origin) else { return 0..0 };
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let written = text[start..].lines().next().unwrap_or_default();
    let indent = written.len() - written.trim_start().len();
    start + indent..start + written.trim_end().len().max(indent)
}

fn line_of(origin: &Origin) -> Option<usize> {
    match origin {
        Origin::File { line, .. } => Some(*line),
        _ => None,
    }
}

fn shown(duration: Duration) -> String {
    format_duration(duration).to_string()
}
