//! What `#[safe_mps_op]` cannot stand on.

use proc_macro2::{Group, TokenStream};
use syn::{Error, Result};

use crate::function::{Body, Function};
use crate::parameters::Parameters;
use crate::recover::collect;
use crate::shape::Shape;

/// The most arguments of a function; the runtime has a tuple for each number.
const MOST: usize = 12;

/// Reads the annotated item, which must be a function.
pub fn function(item: TokenStream) -> Result<Function> {
    Function::read(item, "`#[safe_mps_op]` stands on", "a type has none, so annotate its methods (or write `#[derive(Migrate)]`)")
}

/// Every rule at once; the body.
pub fn check(function: &Function) -> Result<Group> {
    let mut errors = None;
    let parameters = Parameters::of(&function.sig);
    let rules = [runs(function), returns_no_future(function), few(function, &parameters)];
    rules.into_iter().filter_map(Result::err).for_each(|error| collect(&mut errors, error));
    match (&function.body, errors) {
        (_, Some(errors)) => Err(errors),
        (Body::Block(block), None) => Ok(block.clone()),
        (Body::Missing(_), None) => Err(Error::new_spanned(
            &function.sig.ident,
            format!("`{}` has no body here: annotate the method in each `impl` of the trait", function.sig.ident),
        )),
    }
}

fn runs(function: &Function) -> Result<()> {
    match &function.sig.constness {
        Some(constness) => Err(Error::new_spanned(
            constness,
            "`#[safe_mps_op]` cannot stand on a `const fn`: it runs at compile time, where there are no tensors",
        )),
        None => Ok(()),
    }
}

fn returns_no_future(function: &Function) -> Result<()> {
    match Shape::of(function) {
        Shape::Future(_) | Shape::Boxed(_) => Err(Error::new_spanned(
            &function.sig.output,
            "`#[safe_mps_op]` must see the function that does the work, not one that returns a future: write `async fn` (below \
             `#[async_trait]`: call an annotated `async fn` from the method)",
        )),
        _ => Ok(()),
    }
}

fn few(function: &Function, parameters: &Parameters) -> Result<()> {
    if parameters.list.len() + usize::from(parameters.receiver.is_some()) <= MOST {
        return Ok(());
    }
    Err(Error::new_spanned(
        &function.sig.ident,
        format!("`#[safe_mps_op]` passes on up to {MOST} arguments: put some of them into a struct with `#[derive(Migrate)]`"),
    ))
}
