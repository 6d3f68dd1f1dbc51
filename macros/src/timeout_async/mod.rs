//! `#[timeout_async]`: parse, check, expand.

mod body;
mod check;
mod expand;
mod limit;
mod parse;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse_quote;

use crate::recover::recover;
use crate::versions::versions;
use parse::Arguments;

/// What the attribute makes of a function; `disabled` leaves it exactly as written.
pub fn timeout_async(arguments: TokenStream, item: TokenStream, disabled: bool) -> TokenStream {
    match attempt(arguments, &item, disabled) {
        Ok(Some(expanded)) => expanded,
        Ok(None) => item,
        Err(errors) => recover(item, &errors),
    }
}

/// `None`: the function as written.
fn attempt(arguments: TokenStream, item: &TokenStream, disabled: bool) -> syn::Result<Option<TokenStream>> {
    let parsed = Arguments::parse(arguments.clone());
    let function = check::function(item.clone());
    let (parsed, mut function) = match (parsed, function) {
        (Ok(parsed), Ok(function)) => (parsed, function),
        (Err(mut errors), Err(more)) => {
            errors.combine(more);
            return Err(errors);
        }
        (Err(errors), _) | (_, Err(errors)) => return Err(errors),
    };
    let shape = check::check(&parsed, &function)?;
    if disabled {
        return Ok(None);
    }
    let krate = &parsed.krate;
    // A fallback is called with all arguments by name.
    if parsed.fallback.is_some()
        && let Some(both) = versions(&parse_quote!(#[#krate::timeout_async(#arguments)]), &function)
    {
        return Ok(Some(both));
    }
    if expand::move_below_device(&mut function, &parsed, &arguments) {
        return Ok(Some(function.into_token_stream()));
    }
    Ok(Some(expand::expand(&parsed, &function, shape)))
}

#[cfg(test)]
mod tests;
