//! Reads single values, remembers where they stand, and collects what is wrong with them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use crate::policy::channel::Channel;
use crate::policy::nearest::nearest;
use crate::policy::origin::{Origin, Set};
use crate::policy::problem::{Problem, position};
use crate::policy::rules::Said;

/// How the absence of a limit is spelled.
const NONE: &str = "none";

pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// The file that is read, and what was found wrong with it so far.
pub(super) struct Reader<'s> {
    path: &'s Arc<Path>,
    text: &'s str,
    problems: Vec<Problem>,
    /// Channel names in `notify`, checked when all channels are known.
    notified: Vec<(Range<usize>, Arc<str>)>,
}

/// A table of the file.
pub(super) struct Table<'t> {
    /// What to call it in a message.
    name: String,
    entries: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    pub(super) fn document(entries: &'t DeTable<'t>) -> Self {
        Self { name: "the file".to_owned(), entries }
    }

    pub(super) fn get(&self, key: &str) -> Option<(&'t Spanned<DeString<'t>>, &'t Value<'t>)> {
        self.entries.get_key_value(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'t Spanned<DeString<'t>>, &'t Value<'t>)> {
        self.entries.iter()
    }
}

impl<'s> Reader<'s> {
    pub(super) fn new(path: &'s Arc<Path>, text: &'s str) -> Self {
        Self { path, text, problems: Vec::new(), notified: Vec::new() }
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::File { path: Arc::clone(self.path), line: position(self.text, span.start).0 }
    }

    /// A value that must be a table.
    pub(super) fn table<'t>(&mut self, name: &str, value: &'t Value<'t>) -> Option<Table<'t>> {
        match value.get_ref().as_table() {
            Some(entries) => Some(Table { name: format!("`{name}`"), entries }),
            None => self.wrong(name, value, "a table"),
        }
    }

    /// Reports every key that is not among `known`.
    pub(super) fn only(&mut self, table: &Table<'_>, known: &[&str]) {
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(&&**key.get_ref())) {
            let name = &**key.get_ref();
            let help = match nearest(name, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("known keys are {}", list(known)),
            };
            self.report(Problem::at(key.span(), format!("{} has no key `{name}`", table.name)).help(help));
        }
    }

    /// The value of `key`, if it is written and right, with its place.
    pub(super) fn field<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        read: impl FnOnce(&mut Self, &str, &Value<'_>) -> Option<T>,
    ) -> Said<T> {
        let (name, value) = table.get(key)?;
        let origin = self.origin(&name.span());
        read(self, key, value).map(|value| Set { value, origin })
    }

    /// The same without its place.
    pub(super) fn value<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        read: impl FnOnce(&mut Self, &str, &Value<'_>) -> Option<T>,
    ) -> Option<T> {
        let (_, value) = table.get(key)?;
        read(self, key, value)
    }

    pub(super) fn bool(&mut self, key: &str, value: &Value<'_>) -> Option<bool> {
        value.get_ref().as_bool().or_else(|| self.wrong(key, value, "`true` or `false`"))
    }

    pub(super) fn text(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        value.get_ref().as_str().map(str::to_owned).or_else(|| self.wrong(key, value, "a string"))
    }

    /// A whole number from 1 on.
    pub(super) fn count(&mut self, key: &str, value: &Value<'_>) -> Option<u32> {
        self.count_to(key, value, u32::MAX)
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count_to(&mut self, key: &str, value: &Value<'_>, most: u32) -> Option<u32> {
        let Some(number) = value.get_ref().as_integer() else {
            return self.wrong(key, value, "a whole number");
        };
        match u32::from_str_radix(number.as_str(), number.radix()) {
            Ok(count) if (1..=most).contains(&count) => Some(count),
            _ => self.refuse(value, format!("`{key}` must be from 1 to {most}, not {number}")),
        }
    }

    /// A number, whole or not.
    pub(super) fn number(&mut self, key: &str, value: &Value<'_>) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            _ => None,
        };
        number.or_else(|| self.wrong(key, value, "a number"))
    }

    /// A duration longer than zero.
    pub(super) fn duration(&mut self, key: &str, value: &Value<'_>) -> Option<Duration> {
        let help = format!("write a duration with its unit, as in {key} = \"30s\", \"1m 30s\" or \"250ms\"");
        let Some(text) = value.get_ref().as_str() else {
            self.report(Problem::at(value.span(), wrong_type(key, value, "a duration")).help(help));
            return None;
        };
        match humantime::parse_duration(text) {
            Ok(Duration::ZERO) => {
                self.report(Problem::at(value.span(), format!("`{key}` must be longer than zero")));
                None
            }
            Ok(duration) => Some(duration),
            Err(error) => {
                self.report(Problem::at(value.span(), format!("`{key}` is no duration: {error}")).help(help));
                None
            }
        }
    }

    /// A duration longer than zero, or `"none"`.
    pub(super) fn limit(&mut self, key: &str, value: &Value<'_>) -> Option<Option<Duration>> {
        if is_none(value) {
            return Some(None);
        }
        let before = self.problems.len();
        let duration = self.duration(key, value);
        if let Some(problem) = self.problems.get_mut(before).filter(|problem| problem.help.is_none()) {
            problem.help = Some(format!("write {key} = \"none\" where there is to be none"));
        }
        duration.map(Some)
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let Some(text) = value.get_ref().as_str() else {
            return self.wrong(key, value, &format!("one of {}", list(&known)));
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let problem = Problem::at(value.span(), format!("`{key}` must be one of {}, not `{text}`", list(&known)));
            let help = nearest(text, known).map(|word| format!("did you mean `{word}`?"));
            self.report(Problem { help, ..problem });
        }
        found
    }

    /// The elements of an array.
    pub(super) fn array<'t>(&mut self, key: &str, value: &'t Value<'t>) -> Option<&'t DeArray<'t>> {
        value.get_ref().as_array().or_else(|| self.wrong(key, value, "an array"))
    }

    /// An array of strings.
    pub(super) fn strings(&mut self, key: &str, value: &Value<'_>) -> Option<Vec<String>> {
        self.array(key, value)?.iter().map(|element| self.text(key, element)).collect()
    }

    /// `notify`: names of channels.
    pub(super) fn notify(&mut self, key: &str, value: &Value<'_>) -> Option<Vec<Arc<str>>> {
        let mut names = Vec::new();
        for element in self.array(key, value)? {
            let name: Arc<str> = self.text(key, element)?.into();
            self.notified.push((element.span(), Arc::clone(&name)));
            names.push(name);
        }
        Some(names)
    }

    pub(super) fn check_notified(&mut self, channels: &[Channel]) {
        let names: Vec<&str> = channels.iter().map(|channel| &*channel.name).collect();
        for (span, name) in std::mem::take(&mut self.notified) {
            if names.contains(&&*name) {
                continue;
            }
            let help = match nearest(&name, names.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("declare it, as in [channels.{name}] with kind = \"log\""),
            };
            self.report(Problem::at(span, format!("there is no channel `{name}`")).help(help));
        }
    }

    /// Reports that a value has the wrong type.
    pub(super) fn wrong<T>(&mut self, key: &str, value: &Value<'_>, expected: &str) -> Option<T> {
        self.refuse(value, wrong_type(key, value, expected))
    }

    /// Reports a value.
    pub(super) fn refuse<T>(&mut self, value: &Value<'_>, message: String) -> Option<T> {
        self.report(Problem::at(value.span(), message));
        None
    }
}

pub(super) fn is_none(value: &Value<'_>) -> bool {
    value.get_ref().as_str() == Some(NONE)
}

fn wrong_type(key: &str, value: &Value<'_>, expected: &str) -> String {
    let found = match value.get_ref() {
        DeValue::Array(_) => "an array",
        DeValue::Integer(_) => "an integer",
        DeValue::Boolean(_) => "a boolean",
        DeValue::String(_) => "a string",
        DeValue::Float(_) => "a float",
        DeValue::Datetime(_) => "a date",
        DeValue::Table(_) => "a table",
    };
    format!("`{key}` must be {expected}, not {found}")
}

/// `a`, `b` and `c`
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [all @ .., last] => format!("`{}` and `{last}`", all.join("`, `")),
    }
}
