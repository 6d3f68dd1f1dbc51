//! What `#[timeout_async]` cannot stand on, and which arguments do not fit the function.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Error, FnArg, Result, Type};

use super::parse::Arguments;
use crate::borrows::borrow;
use crate::function::{Body, Function};
use crate::parameters::Parameters;
use crate::recover::collect;
use crate::shape::Shape;

/// Reads the annotated item, which must be a function.
pub fn function(item: TokenStream) -> Result<Function> {
    Function::read(item, "`#[timeout_async]` guards", "a type has none, so annotate its methods")
}

/// Every rule at once.
pub fn check(arguments: &Arguments, function: &Function) -> Result<Shape> {
    let mut errors = None;
    let shape = Shape::of(function);
    let parameters = Parameters::of(&function.sig);
    let rules = [
        is_async(function, &shape),
        has_body(function),
        can_time_out(arguments, &shape),
        constants_are_the_same_for_every_type(arguments, function),
        isolate_owns(arguments, function),
        fallback_can_be_called(arguments, &parameters),
        boxed_lends_nothing(arguments, &parameters, &shape),
    ];
    rules.into_iter().filter_map(Result::err).for_each(|error| collect(&mut errors, error));
    errors.map_or(Ok(shape), Err)
}

fn is_async(function: &Function, shape: &Shape) -> Result<()> {
    let Shape::Plain(_) = shape else { return Ok(()) };
    match &function.sig.constness {
        Some(constness) => Err(Error::new_spanned(
            constness,
            "`#[timeout_async]` cannot guard a `const fn`: it runs at compile time, where nothing can be timed",
        )),
        None => Err(Error::new_spanned(
            function.sig.fn_token,
            "`#[timeout_async]` needs a function that can be interrupted: write `async fn`, or return `impl Future<Output = …>` or \
             `Pin<Box<dyn Future<Output = …>>>`",
        )),
    }
}

fn has_body(function: &Function) -> Result<()> {
    match &function.body {
        Body::Block(_) => Ok(()),
        Body::Missing(_) => Err(Error::new_spanned(
            &function.sig.ident,
            format!("`{}` has no body here that could be guarded: annotate the method in each `impl` of the trait", function.sig.ident),
        )),
    }
}

fn can_time_out(arguments: &Arguments, shape: &Shape) -> Result<()> {
    let returned = shape.result();
    match returned {
        _ if matches!(shape, Shape::Plain(_)) => Ok(()),
        Type::Never(_) => Err(Error::new_spanned(
            returned,
            "a function that never returns cannot say that it timed out: return `Result<std::convert::Infallible, backstop::TimeoutError>`",
        )),
        Type::ImplTrait(_) if arguments.on_timeout.is_none() => Err(Error::new_spanned(
            returned,
            "this return type cannot say that the call timed out: add `on_timeout = path`, with `fn path(error: backstop::TimeoutError)` \
             returning the same type as the body",
        )),
        _ => Ok(()),
    }
}

/// The constants of the settings stand in a static, which knows neither the `impl`'s type nor the function's parameters.
fn constants_are_the_same_for_every_type(arguments: &Arguments, function: &Function) -> Result<()> {
    let mut errors = None;
    for word in words(arguments.settings.clone()) {
        if word == "Self" {
            let message = "`Self` is not known here, because all calls of this function share their settings: write the name of the type, as in \
                           `secs = Client::LIMIT`";
            collect(&mut errors, Error::new_spanned(word, message));
        } else if function.is_parameter(&word) {
            let message = format!("`{word}` is not known here, because all calls of this function share their settings: write a constant");
            collect(&mut errors, Error::new_spanned(word, message));
        }
    }
    errors.map_or(Ok(()), Err)
}

/// The words that begin a path.
fn words(tokens: TokenStream) -> Vec<Ident> {
    let mut words = Vec::new();
    let mut begins = true;
    for token in tokens {
        let is_next = matches!(&token, TokenTree::Punct(mark) if matches!(mark.as_char(), ':' | '.'));
        match token {
            TokenTree::Group(group) => words.extend(self::words(group.stream())),
            TokenTree::Ident(word) if begins => words.push(word),
            _ => {}
        }
        begins = !is_next;
    }
    words
}

fn isolate_owns(arguments: &Arguments, function: &Function) -> Result<()> {
    let Some(_) = &arguments.isolate else { return Ok(()) };
    let mut errors = None;
    for input in &function.sig.inputs {
        if let Some(borrow) = borrow(input) {
            let instead = match input {
                FnArg::Receiver(_) => "take `self: std::sync::Arc<Self>`",
                FnArg::Typed(_) => "take an owned value, such as `String`, `Vec<T>` or `Arc<T>`",
            };
            let message = format!("`isolate` runs the body as a task of its own, which cannot borrow from the caller: {instead}");
            collect(&mut errors, Error::new_spanned(borrow, message));
        }
    }
    errors.map_or(Ok(()), Err)
}

fn fallback_can_be_called(arguments: &Arguments, parameters: &Parameters) -> Result<()> {
    let Some(fallback) = &arguments.fallback else { return Ok(()) };
    if parameters.list.len() + usize::from(parameters.receiver.is_some()) > 12 {
        return Err(Error::new_spanned(fallback, "`fallback` can pass on up to 12 arguments: put some of them into a struct"));
    }
    Ok(())
}

/// A boxed future has the lifetime of the whole `&mut`, so that nothing is left for a second call.
fn boxed_lends_nothing(arguments: &Arguments, parameters: &Parameters, shape: &Shape) -> Result<()> {
    let again = arguments.retry.as_ref().map(ToTokens::to_token_stream);
    let again = again.or_else(|| arguments.fallback.as_ref().map(ToTokens::to_token_stream));
    match (again, shape) {
        (Some(again), Shape::Boxed(_) | Shape::Future(_)) if parameters.any_exclusive() => Err(Error::new_spanned(
            again,
            "this function returns a future that holds its `&mut` argument to the end, so that it cannot be called again: take `&self` \
             (or `&T`) and keep the state behind a lock, or write a plain `async fn`",
        )),
        _ => Ok(()),
    }
}
