//! `#[safe_mps_op]`: parse, check, expand.

mod check;
mod expand;
mod name;
mod parse;
mod passed;

use proc_macro2::TokenStream;
use syn::parse_quote;

use crate::features::{Features, without_tch};
use crate::recover::recover;
use crate::versions::versions;
use parse::Arguments;

/// What the attribute makes of a function; switched off it leaves it exactly as written.
pub fn safe_mps_op(arguments: TokenStream, item: TokenStream, features: Features) -> TokenStream {
    match attempt(arguments, &item, features) {
        Ok(Some(expanded)) => expanded,
        Ok(None) => item,
        Err(errors) => recover(item, &errors),
    }
}

/// `None`: the function as written.
fn attempt(arguments: TokenStream, item: &TokenStream, features: Features) -> syn::Result<Option<TokenStream>> {
    let tokens = arguments.clone();
    let (mut arguments, mut function) = match (Arguments::parse(arguments), check::function(item.clone())) {
        (Ok(arguments), Ok(function)) => (arguments, function),
        (Err(mut errors), Err(more)) => {
            errors.combine(more);
            return Err(errors);
        }
        (Err(errors), _) | (_, Err(errors)) => return Err(errors),
    };
    let (shape, block) = check::check(&arguments, &function)?;
    if features.disabled {
        return Ok(None);
    }
    if !features.tch {
        return Err(without_tch());
    }
    let krate = &arguments.krate;
    if let Some(both) = versions(&parse_quote!(#[#krate::safe_mps_op(#tokens)]), &function) {
        return Ok(Some(both));
    }
    name::share(&mut arguments.name, &mut function.attrs);
    Ok(Some(expand::expand(&arguments, &function, shape, &block)))
}

#[cfg(test)]
mod tests;
