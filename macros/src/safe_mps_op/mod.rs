//! `#[safe_mps_op]`: parse, check, expand.

mod check;
mod expand;
mod name;
mod parse;

use proc_macro2::TokenStream;
use syn::parse_quote;

use crate::recover::recover;
use crate::versions::versions;
use parse::Arguments;

/// What the attribute makes of a function; `disabled` leaves it exactly as written.
pub fn safe_mps_op(arguments: TokenStream, item: TokenStream, disabled: bool) -> TokenStream {
    match attempt(arguments, &item, disabled) {
        Ok(Some(expanded)) => expanded,
        Ok(None) => item,
        Err(errors) => recover(item, &errors),
    }
}

/// `None`: the function as written.
fn attempt(arguments: TokenStream, item: &TokenStream, disabled: bool) -> syn::Result<Option<TokenStream>> {
    let tokens = arguments.clone();
    let (mut arguments, mut function) = match (Arguments::parse(arguments), check::function(item.clone())) {
        (Ok(arguments), Ok(function)) => (arguments, function),
        (Err(mut errors), Err(more)) => {
            errors.combine(more);
            return Err(errors);
        }
        (Err(errors), _) | (_, Err(errors)) => return Err(errors),
    };
    let block = check::check(&function)?;
    if disabled {
        return Ok(None);
    }
    let krate = &arguments.krate;
    if let Some(both) = versions(&parse_quote!(#[#krate::safe_mps_op(#tokens)]), &function) {
        return Ok(Some(both));
    }
    name::share(&mut arguments.name, &mut function.attrs);
    Ok(Some(expand::expand(&arguments, &function, &block)))
}
