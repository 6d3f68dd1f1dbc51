//! `#[derive(Migrate)]`: parse, check, expand.

mod expand;
mod parse;

use proc_macro2::TokenStream;

use parse::Input;

/// The implementations, or what is wrong.
pub fn derive(input: TokenStream) -> TokenStream {
    match Input::parse(input) {
        Ok(input) => expand::expand(&input),
        Err(errors) => errors.to_compile_error(),
    }
}
