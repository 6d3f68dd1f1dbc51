//! What `#[safe_mps_op]` cannot stand on.

use proc_macro2::{Group, TokenStream};
use quote::ToTokens;
use syn::{Error, FnArg, Result, ReturnType};

use super::parse::Arguments;
use crate::borrows::{borrow, lenders};
use crate::function::{Body, Function};
use crate::parameters::{Parameters, Passing};
use crate::recover::collect;
use crate::shape::{self, Shape};

/// The most arguments of a function; the runtime has a tuple for each number.
const MOST: usize = 12;

/// Reads the annotated item, which must be a function.
pub fn function(item: TokenStream) -> Result<Function> {
    Function::read(item, "`#[safe_mps_op]` stands on", "a type has none, so annotate its methods (or write `#[derive(Migrate)]`)")
}

/// Every rule at once; what the function is, and its body.
pub fn check(arguments: &Arguments, function: &Function) -> Result<(Shape, Group)> {
    let mut errors = None;
    let shape = Shape::of(function);
    let parameters = Parameters::of(&function.sig);
    let rules = [
        runs(function),
        few(function, &parameters),
        future_lives_as_long(function, &shape),
        snapshot_gets_back(arguments, function, &parameters, &shape),
    ];
    rules.into_iter().filter_map(Result::err).for_each(|error| collect(&mut errors, error));
    match (&function.body, errors) {
        (_, Some(errors)) => Err(errors),
        (Body::Block(block), None) => Ok((shape, block.clone())),
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

fn few(function: &Function, parameters: &Parameters) -> Result<()> {
    if parameters.list.len() + usize::from(parameters.receiver.is_some()) <= MOST {
        return Ok(());
    }
    Err(Error::new_spanned(
        &function.sig.ident,
        format!("`#[safe_mps_op]` passes on up to {MOST} arguments: put some of them into a struct with `#[derive(Migrate)]`"),
    ))
}

/// A boxed future that names no lifetime is `'static`, and holds no borrowed argument for a second attempt.
fn future_lives_as_long(function: &Function, shape: &Shape) -> Result<()> {
    let Shape::Boxed(_) = shape else { return Ok(()) };
    let ReturnType::Type(_, written) = &function.sig.output else { return Ok(()) };
    let is_static = shape::future_lifetime(written).is_some_and(|lifetime| lifetime.ident == "static");
    let Some(borrowed) = function.sig.inputs.iter().find(|input| is_static && borrow(input).is_some()) else { return Ok(()) };
    let name = match borrowed {
        FnArg::Receiver(receiver) => receiver.self_token.to_token_stream(),
        FnArg::Typed(typed) => typed.pat.to_token_stream(),
    };
    Err(Error::new_spanned(
        written,
        format!(
            "this future is `'static`, but each attempt borrows `{name}`: give it a lifetime, as in `dyn Future<Output = …> + '_`, or take the \
             argument by value"
        ),
    ))
}

/// What the result may borrow mutably is given away by the first attempt.
fn snapshot_gets_back(arguments: &Arguments, function: &Function, parameters: &Parameters, shape: &Shape) -> Result<()> {
    let Some(snapshot) = &arguments.snapshot else { return Ok(()) };
    let mut lent = lenders(&function.sig, shape.result()).into_iter().zip(parameters.passings());
    if lent.any(|(lends, passing)| lends && passing == Passing::Exclusive) {
        let message = "the result borrows from a `&mut` argument, which nothing can roll back while the result is alive: return an owned value, \
                       or nothing, since the caller has the argument";
        return Err(Error::new_spanned(snapshot, message));
    }
    Ok(())
}
