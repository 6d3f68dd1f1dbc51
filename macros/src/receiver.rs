//! `self` under another name: it cannot be bound twice, so a body that runs more than once on a clone of it must call it differently.

use proc_macro2::{Delimiter, Group, Ident, Literal, Spacing, TokenStream, TokenTree};

/// `block` with `self` replaced by `name`, arguments of macros and of format strings included. Paths that begin with `self`, and nested items,
/// which have a `self` of their own, are left alone.
pub fn rename(block: &Group, name: &Ident) -> Group {
    group(block, name, false)
}

/// `format`: the arguments of a macro that takes a format string.
fn group(group: &Group, name: &Ident, format: bool) -> Group {
    let mut renamed = Group::new(group.delimiter(), tokens(group.stream(), name, format));
    renamed.set_span(group.span());
    renamed
}

fn tokens(stream: TokenStream, name: &Ident, format: bool) -> TokenStream {
    let (mut item, mut formats) = (Item::No, Formats::No);
    let mut tokens = stream.into_iter().peekable();
    let rename_next = || {
        let token = tokens.next()?;
        let public = matches!(item, Item::Public);
        item = item.next(&token);
        formats = formats.next(&token);
        Some(match token {
            TokenTree::Group(inner) if !public && !matches!(item, Item::Ended | Item::Yes) => {
                TokenTree::Group(group(&inner, name, formats.inside(format)))
            }
            TokenTree::Ident(word) if word == "self" && !matches!(item, Item::Yes) && !is_path(tokens.peek()) => {
                let mut name = name.clone();
                name.set_span(name.span().located_at(word.span()));
                TokenTree::Ident(name)
            }
            TokenTree::Literal(literal) if format => TokenTree::Literal(captured(literal, name)),
            other => other,
        })
    };
    std::iter::from_fn(rename_next).collect()
}

fn is_path(next: Option<&TokenTree>) -> bool {
    matches!(next, Some(TokenTree::Punct(mark)) if mark.as_char() == ':' && mark.spacing() == Spacing::Joint)
}

/// A format string whose `{self}` and `{self:…}` are `name`'s.
fn captured(literal: Literal, name: &Ident) -> Literal {
    let text = literal.to_string();
    if !text.contains("{self") {
        return literal;
    }
    // Doubled braces are text.
    let pieces = text.split("{{").map(|piece| {
        ['}', ':'].iter().fold(piece.to_owned(), |piece, end| piece.replace(&format!("{{self{end}"), &format!("{{{name}{end}")))
    });
    let Ok(mut renamed) = pieces.collect::<Vec<_>>().join("{{").parse::<Literal>() else { return literal };
    renamed.set_span(name.span().located_at(literal.span()));
    renamed
}

/// Macros that take a format string, by the last part of their path.
const FORMATS: [&str; 35] = [
    "format",
    "format_args",
    "print",
    "println",
    "eprint",
    "eprintln",
    "write",
    "writeln",
    "panic",
    "todo",
    "unimplemented",
    "unreachable",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "log",
    "event",
    "span",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
    "anyhow",
    "bail",
    "ensure",
    "dbg",
];

/// How far the call of a macro has come, and whether it is one of those.
#[derive(Clone, Copy)]
enum Formats {
    No,
    /// After its name.
    Name(bool),
    /// After the exclamation mark.
    Mark(bool),
    /// At its arguments.
    Arguments(bool),
}

impl Formats {
    fn next(self, token: &TokenTree) -> Self {
        match (self, token) {
            (_, TokenTree::Ident(word)) => Self::Name(FORMATS.iter().any(|name| word == name)),
            (Self::Name(format), TokenTree::Punct(mark)) if mark.as_char() == '!' => Self::Mark(format),
            (Self::Mark(format), TokenTree::Group(_)) => Self::Arguments(format),
            _ => Self::No,
        }
    }

    /// Whether the texts in a group here are format strings; `around`: whether those around it are.
    fn inside(self, around: bool) -> bool {
        if let Self::Arguments(format) = self { format } else { around }
    }
}

/// Whether the tokens at hand belong to a nested item.
#[derive(Clone, Copy)]
enum Item {
    No,
    /// After `fn`: a name makes it an item, a parenthesis a type.
    Fn,
    Yes,
    /// At its braces.
    Ended,
    /// After `pub`: its parentheses hold a path.
    Public,
}

impl Item {
    fn next(self, token: &TokenTree) -> Self {
        match (self, token) {
            (Item::No | Item::Ended | Item::Public, TokenTree::Ident(word)) if word == "impl" || word == "trait" || word == "use" => {
                Item::Yes
            }
            (Item::No | Item::Ended | Item::Public, TokenTree::Ident(word)) if word == "fn" => Item::Fn,
            (Item::Fn, TokenTree::Ident(_)) => Item::Yes,
            (Item::Yes, TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => Item::Ended,
            (_, TokenTree::Ident(word)) if word == "pub" => Item::Public,
            (Item::Yes, TokenTree::Punct(mark)) if mark.as_char() == ';' => Item::No,
            (Item::Yes, _) => Item::Yes,
            _ => Item::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
    use quote::quote;

    fn renamed(body: TokenStream) -> String {
        super::rename(&Group::new(Delimiter::Brace, body), &Ident::new("this", Span::call_site())).to_string()
    }

    #[test]
    fn nested_items_and_paths_keep_their_own_self() {
        let body = quote! {
            use std::fmt::{self, Write};
            println!("{}", self.name);
            let f: fn(&str) = self.f;
            struct Inner { pub(self) name: String }
            impl Inner { fn get(&self) -> &Self { self } }
            pub(crate) fn get(inner: &Inner) -> &str { self::name(inner) }
            self::helper(self, self.name::<u8>());
            self.close()
        };
        let expected = quote! {{
            use std::fmt::{self, Write};
            println!("{}", this.name);
            let f: fn(&str) = this.f;
            struct Inner { pub(self) name: String }
            impl Inner { fn get(&self) -> &Self { self } }
            pub(crate) fn get(inner: &Inner) -> &str { self::name(inner) }
            self::helper(this, this.name::<u8>());
            this.close()
        }};
        assert_eq!(renamed(body), expected.to_string());
    }

    #[test]
    fn format_strings_name_it_too_and_other_texts_are_left_alone() {
        let body = quote! {
            tracing::info!(target: "x", "{self} {{self}} {self:?} {{{self:>8}}} {selfish}", n = json!("{self}"));
            let text = "{self}";
            assert!(ok, r#"{self}"#);
        };
        let expected = quote! {{
            tracing::info!(target: "x", "{this} {{self}} {this:?} {{{this:>8}}} {selfish}", n = json!("{self}"));
            let text = "{self}";
            assert!(ok, r#"{this}"#);
        }};
        assert_eq!(renamed(body), expected.to_string());
    }
}
