//! What an annotated function is: `async`, one that returns a future, one that tokio's macros have rewritten, or an ordinary one.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{GenericArgument, Ident, Lifetime, PathArguments, PathSegment, ReturnType, Token, Type, TypeParamBound, parse_quote};

use crate::function::{Body, Function};

/// How a function gives its result.
pub enum Shape {
    /// `async fn`: the result.
    Async(Type),
    /// `fn … -> impl Future<Output = T>`: `T`.
    Future(Type),
    /// `fn … -> Pin<Box<dyn Future<Output = T>>>`, as written by hand or by `#[async_trait]`: `T`.
    Boxed(Type),
    /// What `#[tokio::main]` and `#[tokio::test]` leave when they stand above: `fn … { let body = async { … }; … }`.
    Runtime(Type, Wrapped),
    /// An ordinary function: what it returns.
    Plain(Type),
}

/// A body that begins with `let body = async { … };`.
pub struct Wrapped {
    /// `let body =`
    pub before: TokenStream,
    /// The braces of the `async` block.
    pub block: Group,
    /// All that follows them.
    pub after: TokenStream,
}

impl Shape {
    pub fn of(function: &Function) -> Self {
        let returned = returned(&function.sig.output);
        if function.sig.asyncness.is_some() {
            return Shape::Async(returned);
        }
        if let Type::ImplTrait(future) = &returned {
            return future_output(&future.bounds).map_or_else(|| Shape::Plain(returned.clone()), Shape::Future);
        }
        if let Some(output) = boxed_output(&returned) {
            return Shape::Boxed(output);
        }
        match wrapped(&function.body) {
            Some(body) => Shape::Runtime(returned, body),
            None => Shape::Plain(returned),
        }
    }

    /// What the body's work ends with; of a future, its output.
    pub fn result(&self) -> &Type {
        match self {
            Shape::Async(result) | Shape::Future(result) | Shape::Boxed(result) | Shape::Runtime(result, _) | Shape::Plain(result) => {
                result
            }
        }
    }
}

/// The type after `->`, or `()`.
fn returned(output: &ReturnType) -> Type {
    match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    }
}

/// `T` of `Pin<Box<dyn Future<Output = T>>>`, or of the aliases `BoxFuture<'_, T>` and `LocalBoxFuture<'_, T>`.
fn boxed_output(ty: &Type) -> Option<Type> {
    let segment = last_segment(ty)?;
    match segment.ident.to_string().as_str() {
        "Pin" | "Box" => match types(segment).next()? {
            Type::TraitObject(future) => future_output(&future.bounds),
            inner => boxed_output(inner),
        },
        "BoxFuture" | "LocalBoxFuture" => types(segment).next().cloned(),
        _ => None,
    }
}

/// How long a boxed future lives: `'static` where no word is said; `None` where an alias leaves it to the compiler.
pub fn future_lifetime(ty: &Type) -> Option<Lifetime> {
    let mut ty = ty.clone();
    future_lifetime_mut(&mut ty).cloned()
}

/// The type of a boxed future that lives as long as the compiler finds.
pub fn some_lifetime(mut ty: Type) -> Type {
    if let Some(lifetime) = future_lifetime_mut(&mut ty) {
        *lifetime = parse_quote!('_);
    }
    ty
}

/// The lifetime in `Pin<Box<dyn Future + 'a>>` or `BoxFuture<'a, T>`; a trait object without one gets `'static` first.
fn future_lifetime_mut(ty: &mut Type) -> Option<&mut Lifetime> {
    let segment = last_segment_mut(ty)?;
    let boxed = matches!(segment.ident.to_string().as_str(), "Pin" | "Box");
    let PathArguments::AngleBracketed(arguments) = &mut segment.arguments else { return None };
    arguments.args.iter_mut().find_map(|argument| match argument {
        GenericArgument::Lifetime(lifetime) if !boxed => Some(lifetime),
        GenericArgument::Type(inner) if boxed => match inner {
            Type::TraitObject(future) => object_lifetime(&mut future.bounds),
            inner => future_lifetime_mut(inner),
        },
        _ => None,
    })
}

fn object_lifetime(bounds: &mut Punctuated<TypeParamBound, Token![+]>) -> Option<&mut Lifetime> {
    if !bounds.iter().any(|bound| matches!(bound, TypeParamBound::Lifetime(_))) {
        bounds.push(parse_quote!('static));
    }
    bounds.iter_mut().find_map(|bound| match bound {
        TypeParamBound::Lifetime(lifetime) => Some(lifetime),
        _ => None,
    })
}

/// `T` of `Future<Output = T>`.
fn future_output<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> Option<Type> {
    bounds.into_iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            let segment = bound.path.segments.last().filter(|segment| segment.ident == "Future")?;
            arguments(segment).find_map(|argument| match argument {
                GenericArgument::AssocType(output) if output.ident == "Output" => Some(output.ty.clone()),
                _ => None,
            })
        }
        _ => None,
    })
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

fn last_segment_mut(ty: &mut Type) -> Option<&mut PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last_mut(),
        Type::Group(group) => last_segment_mut(&mut group.elem),
        Type::Paren(paren) => last_segment_mut(&mut paren.elem),
        _ => None,
    }
}

fn arguments(segment: &PathSegment) -> impl Iterator<Item = &GenericArgument> {
    match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    }
    .into_iter()
    .flatten()
}

/// The type arguments of a path's segment.
pub fn types(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    arguments(segment).filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Recognises `let body = async { … }; …`.
fn wrapped(body: &Body) -> Option<Wrapped> {
    let Body::Block(body) = body else { return None };
    let mut tokens = body.stream().into_iter();
    let before: Vec<TokenTree> = tokens.by_ref().take(3).collect();
    let starts = |at: usize, text: &str| before.get(at).is_some_and(|token| token.to_string() == text);
    let is_async = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word == "async");
    if !(starts(0, "let") && starts(1, "body") && starts(2, "=") && tokens.next().as_ref().is_some_and(is_async)) {
        return None;
    }
    match tokens.find(|token| !matches!(token, TokenTree::Ident(word) if word == "move"))? {
        TokenTree::Group(block) => Some(Wrapped { before: before.into_iter().collect(), block, after: tokens.collect() }),
        _ => None,
    }
}

/// `ty` as it can be named in an expression: `impl Trait` becomes `_`.
pub fn nameable(mut ty: Type) -> Type {
    struct Infer;
    impl VisitMut for Infer {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            match ty {
                Type::ImplTrait(_) => *ty = parse_quote!(_),
                _ => visit_type_mut(self, ty),
            }
        }
    }
    Infer.visit_type_mut(&mut ty);
    ty
}

/// Whether the error of a `Result` may borrow, as far as tokens can say: a lifetime, a reference, or a type parameter (by convention one
/// letter, where it is the `impl`'s and cannot be seen). The error of an alias such as `io::Result<T>` is taken to own what it holds.
pub fn error_may_borrow(ty: &Type, parameters: &[&Ident]) -> bool {
    let arguments: Vec<&GenericArgument> = last_segment(ty).map(|segment| arguments(segment).collect()).unwrap_or_default();
    let is_lifetime = |argument: &&GenericArgument| matches!(argument, GenericArgument::Lifetime(_));
    match arguments.as_slice() {
        [] => mentions(ty.to_token_stream(), parameters),
        some if some.iter().any(is_lifetime) => true,
        [_, error] => mentions(error.to_token_stream(), parameters),
        _ => false,
    }
}

fn mentions(tokens: TokenStream, parameters: &[&Ident]) -> bool {
    let mut previous = ' ';
    tokens.into_iter().any(|token| {
        let before = previous;
        previous = token.to_string().chars().next().unwrap_or(' ');
        match token {
            TokenTree::Group(group) => mentions(group.stream(), parameters),
            TokenTree::Ident(word) if before == '\'' => word != "static",
            TokenTree::Ident(word) => parameters.contains(&&word) || word == "Self" || one_letter(&word),
            TokenTree::Punct(punct) => punct.as_char() == '&',
            TokenTree::Literal(_) => false,
        }
    })
}

fn one_letter(word: &Ident) -> bool {
    word.to_string().chars().enumerate().all(|(at, letter)| if at == 0 { letter.is_ascii_uppercase() } else { letter.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::error_may_borrow;
    use syn::{Ident, Type, parse_quote};

    #[test]
    fn only_an_error_that_owns_everything_can_be_kept() {
        let failure: Ident = parse_quote!(Failure);
        let borrows = |ty: Type| error_may_borrow(&ty, &[&failure]);
        let owning: [Type; 6] = [
            parse_quote!(io::Result<&'a str>),
            parse_quote!(Result<&str, ApiError>),
            parse_quote!(Result<T, Box<dyn Error + Send + Sync>>),
            parse_quote!(Result<(), Error<'static>>),
            parse_quote!(anyhow::Result<Vec<T>>),
            parse_quote!(Option<u32>),
        ];
        assert!(owning.into_iter().all(|ty| !borrows(ty)));
        let borrowing: [Type; 7] = [
            parse_quote!(Result<u32, Error<'a>>),
            parse_quote!(Result<u32, Error<'_>>),
            parse_quote!(Result<u32, &str>),
            parse_quote!(Result<u32, Failure>),
            parse_quote!(Result<u32, E>),
            parse_quote!(Result<u32, Self::Error>),
            parse_quote!(Parsed<'a, u32>),
        ];
        assert!(borrowing.into_iter().all(borrows));
    }
}
