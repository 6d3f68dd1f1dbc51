//! One name for a function that has both attributes, whichever of them gives it: a policy, a series and a report are about the function.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{Attribute, LitStr, Meta, parse_quote, parse2};

/// Takes the name of the `#[timeout_async]` among `attributes`, or gives it ours. Where each has one, each keeps it.
pub fn share(own: &mut Option<LitStr>, attributes: &mut [Attribute]) {
    let is_guard = |attribute: &&mut Attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "timeout_async");
    let Some(guard) = attributes.iter_mut().find(is_guard) else { return };
    let (path, arguments) = match &guard.meta {
        Meta::Path(path) => (path.clone(), TokenStream::new()),
        Meta::List(list) => (list.path.clone(), list.tokens.clone()),
        Meta::NameValue(_) => return,
    };
    match (&own, given(arguments.clone())) {
        (None, given @ Some(_)) => *own = given,
        (Some(name), None) => guard.meta = parse_quote!(#path(name = #name, #arguments)),
        _ => {}
    }
}

/// The literal of `name = "…"`. What is wrong with the arguments, the other attribute says itself.
fn given(arguments: TokenStream) -> Option<LitStr> {
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    tokens.windows(3).find_map(|words| match words {
        [TokenTree::Ident(key), TokenTree::Punct(equals), value] if key == "name" && equals.as_char() == '=' => parse2(quote!(#value)).ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};
    use syn::{Attribute, LitStr, parse_quote};

    /// The name of ours afterwards, and the other attribute.
    fn shared(own: Option<&str>, mut guard: Attribute) -> (Option<String>, String) {
        let mut own: Option<LitStr> = own.map(|name| parse_quote!(#name));
        super::share(&mut own, std::slice::from_mut(&mut guard));
        (own.map(|name| name.value()), guard.to_token_stream().to_string())
    }

    #[test]
    fn a_name_in_one_attribute_is_the_name_of_both() {
        let named = quote!(#[backstop::timeout_async(secs = 1, name = "a")]).to_string();
        assert_eq!(shared(None, parse_quote!(#[backstop::timeout_async(secs = 1, name = "a")])), (Some("a".to_owned()), named));
        let (own, guard) = shared(Some("b"), parse_quote!(#[timeout_async(secs = 1)]));
        assert_eq!((own.as_deref(), guard), (Some("b"), quote!(#[timeout_async(name = "b", secs = 1)]).to_string()));
        let (own, guard) = shared(Some("b"), parse_quote!(#[timeout_async]));
        assert_eq!((own.as_deref(), guard), (Some("b"), quote!(#[timeout_async(name = "b",)]).to_string()));
    }

    #[test]
    fn two_names_stay_two() {
        let named = quote!(#[timeout_async(name = "a")]).to_string();
        assert_eq!(shared(Some("b"), parse_quote!(#[timeout_async(name = "a")])), (Some("b".to_owned()), named));
    }

    #[test]
    fn other_attributes_are_left_alone() {
        assert_eq!(shared(Some("b"), parse_quote!(#[inline])), (Some("b".to_owned()), quote!(#[inline]).to_string()));
    }
}
