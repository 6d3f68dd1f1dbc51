//! The arguments of `#[timeout_async]`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Expr, Lit, LitStr, Path, Result};

use super::limit;
use crate::settings::{Key, Settings, literal};
use crate::site::krate;

const KEYS: &[Key] = &[
    Key { name: "secs", example: "secs = 30" },
    Key { name: "millis", example: "millis = 250" },
    Key { name: "idle_secs", example: "idle_secs = 60" },
    Key { name: "idle_millis", example: "idle_millis = 500" },
    Key { name: "grace_secs", example: "grace_secs = 5" },
    Key { name: "name", example: "name = \"api.fetch\"" },
    Key { name: "retry", example: "retry = 3" },
    Key { name: "fallback", example: "fallback = path::to::function" },
    Key { name: "on_timeout", example: "on_timeout = path::to::function" },
    Key { name: "isolate", example: "isolate" },
    Key { name: "crate", example: "crate = path::to::backstop" },
];

/// What the user wrote, checked as far as each key can be checked alone.
pub struct Arguments {
    pub krate: Path,
    pub name: Option<LitStr>,
    /// Calls on the static: `.limit(…).idle(…)`.
    pub settings: TokenStream,
    pub retry: Option<Ident>,
    pub fallback: Option<Path>,
    pub on_timeout: Option<Path>,
    pub isolate: Option<Ident>,
}

impl Arguments {
    pub fn parse(tokens: TokenStream) -> Result<Self> {
        let mut list = Settings::parse(tokens, KEYS);
        let krate = krate(list.path("crate"));
        let mut settings = TokenStream::new();
        settings.extend(duration(&mut list, &krate, "secs", Some("millis")).map(|limit| quote!(.limit(#limit))));
        settings.extend(duration(&mut list, &krate, "idle_secs", Some("idle_millis")).map(|limit| quote!(.idle(#limit))));
        settings.extend(duration(&mut list, &krate, "grace_secs", None).map(|limit| quote!(.grace(#limit))));
        settings.extend(retries(&mut list).map(|retries| quote!(.retry(#retries))));
        let arguments = Self {
            name: list.text("name"),
            retry: list.entry("retry").map(|entry| entry.key.clone()),
            fallback: list.path("fallback"),
            on_timeout: list.path("on_timeout"),
            isolate: list.flag("isolate"),
            settings: {
                settings.extend(list.entry("fallback").map(|_| quote!(.fallback())));
                settings.extend(list.entry("isolate").map(|_| quote!(.isolate())));
                settings
            },
            krate,
        };
        list.finish(arguments)
    }
}

/// A duration by one of two keys that exclude each other.
fn duration(list: &mut Settings, krate: &Path, secs: &'static str, millis: Option<&'static str>) -> Option<TokenStream> {
    let in_millis = millis.filter(|millis| list.entry(millis).is_some());
    if let (Some(millis), Some(_)) = (in_millis, list.entry(secs)) {
        let place = list.entry(millis).map(|entry| entry.key.clone());
        return list.refuse(place, format!("`{secs}` and `{millis}` both set the same limit: leave one"));
    }
    let key = in_millis.or_else(|| list.entry(secs).map(|_| secs))?;
    let value = list.value(key)?;
    match limit::duration(key, &value, krate) {
        Ok(duration) => Some(duration),
        Err(error) => {
            list.error(error);
            None
        }
    }
}

/// `None` leaves the number to the policy.
fn retries(list: &mut Settings) -> Option<TokenStream> {
    let Some(value) = list.optional("retry")? else { return Some(quote!(::core::option::Option::None)) };
    match (&value, literal(&value)) {
        (_, Some(Lit::Int(number))) => match number.base10_parse::<u32>() {
            Ok(0) => list.refuse(&value, "`retry = 0` never retries: leave `retry` out"),
            Ok(_) => Some(quote!(::core::option::Option::Some(#number))),
            Err(_) => list.refuse(&value, "`retry` takes a number up to 4294967295: `retry = 3`"),
        },
        (_, Some(_)) | (Expr::Unary(_), _) => list.refuse(&value, "`retry` takes a number of further attempts: `retry = 3`"),
        _ => Some(quote!(::core::option::Option::Some(#value))),
    }
}
