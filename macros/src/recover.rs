//! After an error: the function as it was written, plus the message. The user sees the mistake in the attribute, and not a hundred
//! "cannot find function" that follow from a function that vanished.

use proc_macro2::TokenStream;

/// `item` as it was written, followed by the errors.
pub fn recover(mut item: TokenStream, errors: &syn::Error) -> TokenStream {
    item.extend(errors.to_compile_error());
    item
}

/// Adds an error to those that were already found.
pub fn collect(errors: &mut Option<syn::Error>, error: syn::Error) {
    match errors {
        Some(first) => first.combine(error),
        None => *errors = Some(error),
    }
}
