//! The attribute's `key = value` list. What is unknown, written twice or of the wrong kind is reported on its own token, and everything
//! at once.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, ExprLit, Lit, LitStr, Path, Result, Token};

use crate::recover::collect;

/// A key that an attribute takes.
pub struct Key {
    pub name: &'static str,
    /// How it is written, for messages.
    pub example: &'static str,
}

/// A key as the user wrote it.
#[derive(Clone)]
pub struct Entry {
    pub key: Ident,
    pub value: Option<Expr>,
}

/// The arguments of one attribute, taken out one by one; [`finish`](Self::finish) reports what was wrong.
pub struct Settings {
    known: &'static [Key],
    entries: Vec<Entry>,
    errors: Option<Error>,
}

impl Settings {
    /// Reads the list; unknown keys and keys written twice are noted, and the first of two counts.
    pub fn parse(tokens: TokenStream, known: &'static [Key]) -> Self {
        let mut settings = Self { known, entries: Vec::new(), errors: None };
        let read = |input: ParseStream| {
            settings.read(input);
            Ok(())
        };
        if let Err(error) = read.parse2(tokens) {
            settings.error(error);
        }
        settings
    }

    /// The entry of a key, for its position.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }

    /// A key without a value: `isolate`.
    pub fn flag(&mut self, name: &str) -> Option<Ident> {
        let Entry { key, value } = self.entry(name)?.clone();
        if let Some(value) = value {
            self.error(Error::new_spanned(value, format!("`{key}` takes no value: write `{key}` alone, or leave it out")));
        }
        Some(key)
    }

    /// A key with a value: `secs = 30`.
    pub fn value(&mut self, name: &str) -> Option<Expr> {
        let Entry { key, value } = self.entry(name)?.clone();
        if value.is_none() {
            let message = format!("`{key}` needs a value: `{}`", self.example(name));
            self.error(Error::new_spanned(key, message));
        }
        value
    }

    /// A key with or without a value: `retry`, `retry = 3`.
    pub fn optional(&mut self, name: &str) -> Option<Option<Expr>> {
        self.entry(name).map(|entry| entry.value.clone())
    }

    /// A key whose value is a text that is not empty: `name = "api.fetch"`.
    pub fn text(&mut self, name: &str) -> Option<LitStr> {
        let value = self.value(name)?;
        match literal(&value) {
            Some(Lit::Str(text)) if !text.value().trim().is_empty() => Some(text.clone()),
            Some(Lit::Str(text)) => self.refuse(text, format!("`{name}` must not be empty: leave it out for `module::path::function`")),
            _ => self.refuse(&value, format!("`{name}` takes a text: `{}`", self.example(name))),
        }
    }

    /// A key whose value is a path, plain or (as serde has it) in quotes: `fallback = cached`.
    pub fn path(&mut self, name: &str) -> Option<Path> {
        let value = self.value(name)?;
        match (&value, literal(&value)) {
            (Expr::Path(path), _) if path.qself.is_none() => Some(path.path.clone()),
            (_, Some(Lit::Str(text))) if text.parse::<Path>().is_ok() => text.parse().ok(),
            _ => self.refuse(&value, format!("`{name}` takes the path of a function or crate: `{}`", self.example(name))),
        }
    }

    /// Notes an error.
    pub fn error(&mut self, error: Error) {
        collect(&mut self.errors, error);
    }

    /// Notes an error at `place`, and gives no value.
    pub fn refuse<T>(&mut self, place: impl quote::ToTokens, message: impl std::fmt::Display) -> Option<T> {
        self.error(Error::new_spanned(place, message));
        None
    }

    /// `value`, unless something was wrong.
    pub fn finish<T>(self, value: T) -> Result<T> {
        self.errors.map_or(Ok(value), Err)
    }

    fn example(&self, name: &str) -> &'static str {
        self.known.iter().find(|key| key.name == name).map_or("", |key| key.example)
    }

    fn read(&mut self, input: ParseStream) {
        while !input.is_empty() {
            match self.read_entry(input) {
                Ok(entry) => self.add(entry),
                Err(error) => self.error(error),
            }
            skip_to_comma(input);
        }
    }

    fn read_entry(&self, input: ParseStream) -> Result<Entry> {
        if input.peek(Lit) {
            let example = self.known.first().map_or("", |key| key.example);
            return Err(input.error(format!("expected `key = value`, such as `{example}`")));
        }
        let key = input.call(Ident::parse_any)?;
        let value = match input.parse::<Option<Token![=]>>()? {
            Some(equals) if input.is_empty() || input.peek(Token![,]) => {
                return Err(Error::new_spanned(equals, format!("`{key} =` has no value")));
            }
            Some(_) => Some(input.parse()?),
            None => None,
        };
        if input.is_empty() || input.peek(Token![,]) {
            Ok(Entry { key, value })
        } else {
            Err(input.error("expected `,` and the next `key = value`"))
        }
    }

    fn add(&mut self, entry: Entry) {
        let name = entry.key.to_string();
        if !self.known.iter().any(|key| key.name == name) {
            self.error(Error::new_spanned(&entry.key, unknown(&name, self.known)));
        } else if self.entry(&name).is_some() {
            self.error(Error::new_spanned(&entry.key, format!("`{name}` is given twice: leave one")));
        } else {
            self.entries.push(entry);
        }
    }
}

/// To the next entry, past what could not be read.
fn skip_to_comma(input: ParseStream) {
    while !input.is_empty() {
        if input.parse::<Option<Token![,]>>().is_ok_and(|comma| comma.is_some()) {
            return;
        }
        let _: Result<proc_macro2::TokenTree> = input.parse();
    }
}

/// What to say about a key that does not exist: the nearest one that does, or all of them.
fn unknown(name: &str, known: &[Key]) -> String {
    let nearest = known.iter().map(|key| (distance(name, key.name), key)).min_by_key(|(distance, _)| *distance);
    let keys = known.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ");
    match nearest {
        Some((distance, key)) if distance <= name.len().max(key.name.len()) / 2 => {
            format!("unknown argument `{name}`: did you mean `{}`?", key.example)
        }
        _ => format!("unknown argument `{name}`: this attribute takes {keys}"),
    }
}

/// How many letters must be changed, added or removed (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// The literal that an expression is.
pub fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Settings, distance};
    use quote::quote;

    const KEYS: &[Key] = &[
        Key { name: "secs", example: "secs = 30" },
        Key { name: "retry", example: "retry = 3" },
        Key { name: "name", example: "name = \"a\"" },
    ];

    fn errors(tokens: proc_macro2::TokenStream) -> Vec<String> {
        match Settings::parse(tokens, KEYS).finish(()) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.into_iter().map(|error| error.to_string()).collect(),
        }
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let found = errors(quote!(sec = 3, retry, retry = 2, secs =, 7));
        let expected = [
            "unknown argument `sec`: did you mean `secs = 30`?",
            "`retry` is given twice: leave one",
            "`secs =` has no value",
            "expected `key = value`, such as `secs = 30`",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_key_that_resembles_nothing_gets_the_list_of_all() {
        assert_eq!(errors(quote!(colour = 3)), ["unknown argument `colour`: this attribute takes `secs`, `retry`, `name`"]);
    }

    #[test]
    fn an_expression_with_commas_of_its_own_is_one_value() {
        let mut settings = Settings::parse(quote!(secs = max::<u64, u64>(1, 2), retry), KEYS);
        assert!(settings.value("secs").is_some());
        assert!(settings.optional("retry").is_some_and(|value| value.is_none()));
        assert!(settings.finish(()).is_ok());
    }

    #[test]
    fn a_missing_comma_is_named() {
        assert_eq!(errors(quote!(secs = 3 retry)), ["expected `,` and the next `key = value`"]);
    }

    #[test]
    fn a_number_is_no_name() {
        let mut settings = Settings::parse(quote!(name = 3), KEYS);
        assert!(settings.text("name").is_none());
        assert_eq!(settings.finish(()).map_err(|error| error.to_string()), Err("`name` takes a text: `name = \"a\"`".to_owned()));
    }

    #[test]
    fn distances_count_changed_letters() {
        assert_eq!([distance("secs", "secs"), distance("sec", "secs"), distance("", "ab"), distance("kitten", "sitting")], [0, 1, 2, 3]);
    }
}
