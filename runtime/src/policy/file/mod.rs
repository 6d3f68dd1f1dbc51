//! A policy file: TOML in, [`PolicyFile`] out, with every problem on the way and the place of each.
//!
//! This module reads one key after the other; whether what they say fits together, and fits this program, is judged by
//! [`check`](super::check).

mod channel;
#[cfg(feature = "inject")]
mod inject;
mod reader;
pub(super) mod rules;
pub(super) mod watchdog;

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::glob::Pattern;
use super::problem::Problem;
use super::set::{Entry, PolicyFile};
use reader::{Reader, Table};

/// Reads the text of a policy file. What is wrong is left out of the result and reported.
pub(crate) fn read(path: &Arc<Path>, text: &str) -> (PolicyFile, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(path, text);
    let file = document_of(&mut reader, document.get_ref());
    let syntax: Vec<Problem> = errors.into_iter().map(|error| syntax_problem(&error, text)).collect();
    let broken: Vec<usize> = syntax.iter().filter_map(|problem| line_of(problem, text)).collect();
    // Where the syntax is broken, a value is a guess of the parser: what is said about it would mislead.
    let problems = reader.into_problems().into_iter().filter(|problem| line_of(problem, text).is_none_or(|line| !broken.contains(&line)));
    let problems = syntax.iter().cloned().chain(problems).collect();
    (file, problems)
}

fn syntax_problem(error: &toml::de::Error, text: &str) -> Problem {
    let span = error.span().unwrap_or(text.len()..text.len());
    Problem::at(span, format!("this is not TOML: {}", error.message()))
}

fn line_of(problem: &Problem, text: &str) -> Option<usize> {
    problem.span.as_ref().map(|span| super::problem::position(text, span.start).0)
}

fn document_of(reader: &mut Reader<'_>, document: &DeTable<'_>) -> PolicyFile {
    let document = Table::document(document);
    reader.only(&document, &["defaults", "functions", "watchdog", "channels", "inject"]);
    let channels: Arc<[_]> = document.get("channels").map(|(_, value)| channel::channels(reader, value)).unwrap_or_default().into();
    let file = PolicyFile {
        defaults: document.get("defaults").and_then(|(_, value)| rules::rules(reader, "defaults", value)).unwrap_or_default(),
        functions: document.get("functions").map(|(_, value)| functions(reader, value)).unwrap_or_default(),
        watchdog: document.get("watchdog").and_then(|(_, value)| watchdog::watchdog(reader, value)).unwrap_or_default(),
        #[cfg(feature = "inject")]
        injections: document.get("inject").map(|(_, value)| inject::rules(reader, value)).unwrap_or_default(),
        channels,
    };
    #[cfg(not(feature = "inject"))]
    if let Some((key, _)) = document.get("inject") {
        reader.report(
            Problem::at(key.span(), "`[[inject]]` needs a program that was built with fault injection")
                .help("enable the feature `inject` of backstop, or remove the table"),
        );
    }
    reader.check_notified(&file.channels);
    file
}

fn functions(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Vec<Entry> {
    let Some(table) = reader.table("functions", value) else { return Vec::new() };
    table.iter().filter_map(|(key, value)| entry(reader, key, value)).collect()
}

fn entry(reader: &mut Reader<'_>, key: &Spanned<toml::de::DeString<'_>>, value: &Spanned<DeValue<'_>>) -> Option<Entry> {
    let name = &**key.get_ref();
    if looks_unquoted(name, value) {
        reader.report(
            Problem::at(key.span(), format!("`{name}` is no function's name here: the dots made tables of its parts"))
                .help("write the name in quotes, as in [functions.\"module::function\"]"),
        );
        return None;
    }
    let rules = rules::rules(reader, name, value);
    match Pattern::parse(name) {
        Ok(pattern) => Some(Entry { pattern, span: key.span(), origin: reader.origin(&key.span()), rules: rules? }),
        Err(reason) => {
            reader.report(Problem::at(key.span(), format!("the function name `{name}` {reason}")));
            None
        }
    }
}

/// `[functions.a.b]`: a table whose only value is a table that no key has.
fn looks_unquoted(name: &str, value: &Spanned<DeValue<'_>>) -> bool {
    let Some(table) = value.get_ref().as_table() else { return false };
    let mut entries = table.iter();
    let (only, more) = (entries.next(), entries.next());
    more.is_none()
        && !name.contains("::")
        && only.is_some_and(|(key, value)| value.get_ref().is_table() && !rules::KEYS.contains(&&**key.get_ref()))
}
