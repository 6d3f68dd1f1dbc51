//! A parameter that a `#[cfg]` may remove, for attributes that must name all parameters: the function is written twice.
//!
//! ```text
//! #[safe_mps_op]
//! fn loss(batch: &Tensor, #[cfg(unix)] scale: f64) -> Tensor { body }
//! ```
//! becomes
//! ```text
//! #[cfg(unix)]
//! #[safe_mps_op]
//! fn loss(batch: &Tensor, scale: f64) -> Tensor { body }
//! #[cfg(not(unix))]
//! #[safe_mps_op]
//! fn loss(batch: &Tensor) -> Tensor { body }
//! ```
//! and the compiler takes one of them. Further parameters are dealt with when the attribute is met again.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, FnArg, Meta};

use crate::function::Function;

/// Both versions of the function, each under `attribute` again; `None` where no `#[cfg]` stands on a parameter.
pub fn versions(attribute: &Attribute, function: &Function) -> Option<TokenStream> {
    let (at, cfgs) = function.sig.inputs.iter().enumerate().find_map(|(at, input)| Some((at, cfgs(input)?)))?;
    let (mut with, mut without) = (function.clone(), function.clone());
    if let Some(FnArg::Typed(parameter)) = with.sig.inputs.iter_mut().nth(at) {
        parameter.attrs.retain(|attribute| !attribute.path().is_ident("cfg"));
    }
    let others = without.sig.inputs.into_iter().enumerate().filter(|(other, _)| *other != at);
    without.sig.inputs = others.map(|(_, input)| input).collect::<Punctuated<_, _>>();
    Some(quote! {
        #[cfg(all(#(#cfgs),*))]
        #attribute
        #with
        #[cfg(not(all(#(#cfgs),*)))]
        #attribute
        #without
    })
}

/// The predicates of the `#[cfg]`s on a parameter; `None` without one.
fn cfgs(input: &FnArg) -> Option<Vec<TokenStream>> {
    let FnArg::Typed(parameter) = input else { return None };
    let predicates = parameter.attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => Some(list.tokens.clone()),
        _ => None,
    });
    Some(predicates.collect::<Vec<_>>()).filter(|predicates| !predicates.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn a_function_is_written_with_and_without_the_parameter() {
        let function: Function = parse_quote! { fn f(a: u8, #[cfg(unix)] #[cfg(test)] b: u8, c: u8) -> u8 { a } };
        let written = versions(&parse_quote!(#[it(x)]), &function).unwrap();
        let expected = quote! {
            #[cfg(all(unix, test))] #[it(x)] fn f(a: u8, b: u8, c: u8) -> u8 { a }
            #[cfg(not(all(unix, test)))] #[it(x)] fn f(a: u8, c: u8) -> u8 { a }
        };
        assert_eq!(written.to_string(), expected.to_string());
    }

    #[test]
    fn a_function_without_such_a_parameter_is_left_alone() {
        let function: Function = parse_quote! { fn f(&self, #[allow(unused)] a: u8) {} };
        assert!(versions(&parse_quote!(#[it]), &function).is_none());
    }
}
