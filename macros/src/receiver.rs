//! `self` under another name: it cannot be bound twice, so a body that runs more than once on a clone of it must call it differently.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// `block` with `self` replaced by `name`, macro arguments included, and nested items (which have a `self` of their own) left alone.
pub fn rename(block: &Group, name: &Ident) -> Group {
    let mut renamed = Group::new(block.delimiter(), tokens(block.stream(), name));
    renamed.set_span(block.span());
    renamed
}

fn tokens(stream: TokenStream, name: &Ident) -> TokenStream {
    let mut item = Item::No;
    let rename_one = |token: TokenTree| {
        item = item.next(&token);
        match token {
            TokenTree::Group(group) if !matches!(item, Item::Ended | Item::Yes) => TokenTree::Group(rename(&group, name)),
            TokenTree::Ident(word) if word == "self" && !matches!(item, Item::Yes) => {
                let mut name = name.clone();
                name.set_span(name.span().located_at(word.span()));
                TokenTree::Ident(name)
            }
            other => other,
        }
    };
    stream.into_iter().map(rename_one).collect()
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
}

impl Item {
    fn next(self, token: &TokenTree) -> Self {
        match (self, token) {
            (Item::No | Item::Ended, TokenTree::Ident(word)) if word == "impl" || word == "trait" => Item::Yes,
            (Item::No | Item::Ended, TokenTree::Ident(word)) if word == "fn" => Item::Fn,
            (Item::Fn, TokenTree::Ident(_)) => Item::Yes,
            (Item::Yes, TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => Item::Ended,
            (Item::Yes, TokenTree::Punct(mark)) if mark.as_char() == ';' => Item::No,
            (Item::Yes, _) => Item::Yes,
            _ => Item::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::{Delimiter, Group, Ident, Span};
    use quote::quote;

    #[test]
    fn nested_items_keep_their_own_self() {
        let body = quote! {
            println!("{}", self.name);
            let f: fn(&str) = self.f;
            struct Inner;
            impl Inner { fn get(&self) -> &Self { self } }
            self.close()
        };
        let expected = quote! {{
            println!("{}", this.name);
            let f: fn(&str) = this.f;
            struct Inner;
            impl Inner { fn get(&self) -> &Self { self } }
            this.close()
        }};
        let renamed = super::rename(&Group::new(Delimiter::Brace, body), &Ident::new("this", Span::call_site()));
        assert_eq!(quote!(#renamed).to_string(), expected.to_string());
    }
}
