//! One static, one call.
//!
//! ```text
//! #[timeout_async(secs = 30)]
//! async fn fetch(&self, symbol: &str) -> Result<Quote, ApiError> { body }
//! ```
//! becomes
//! ```text
//! async fn fetch(&self, symbol: &str) -> Result<Quote, ApiError> {
//!     static __BACKSTOP_SITE: … = Site::timeout_async("…::fetch").limit(…).at(…);
//!     submit! { Submitted(&__BACKSTOP_SITE) }
//!     let body = async move { <a typed return that never runs> { body } };
//!     let returns = returns!(… body, Result<Quote, ApiError>);
//!     call(&__BACKSTOP_SITE, returns, body).await
//! }
//! ```
//! With `retry` the last three lines stand in a loop that ends when the runtime says so; with `fallback` they give a `Result`, and its
//! error goes to the fallback. Closures in place of the loop would do, if a future that holds an `async` closure stayed `Send`.
//! Local names are hygienic (`mixed_site`), paths are absolute.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Attribute, Path, Type, parse_quote};

use super::parse::Arguments;
use crate::function::{Body, Function};
use crate::parameters::{Parameter, Parameters, Passing};
use crate::receiver;
use crate::shape::{Shape, error_may_borrow, nameable};
use crate::site::{Site, krate_at};

/// The guarded function.
pub fn expand(arguments: &Arguments, function: &Function, shape: Shape) -> TokenStream {
    let Body::Block(block) = &function.body else { return function.to_token_stream() };
    let mut block = block.clone();
    let call = |returned: Type, form: Form, block| Call::new(arguments, function, nameable(returned), form, block);
    let body = match shape {
        Shape::Plain => return function.to_token_stream(),
        Shape::Async(returned) => call(returned, Form::Async, block).all(),
        Shape::Future(returned) => call(returned, Form::Eager, block).returned(|future| future),
        Shape::Boxed(returned) => call(returned, Form::Eager, block).returned(|future| quote!(::std::boxed::Box::pin(#future))),
        Shape::Runtime(returned, wrapped) => {
            let (before, after) = (wrapped.before, wrapped.after);
            block = wrapped.block;
            let inner = call(returned, Form::Async, block).all();
            quote!(#before async move { #inner } #after)
        }
    };
    let mut function = function.clone();
    if arguments.needs_names() {
        function.sig = Parameters::of(&function.sig).named(&function.sig);
    }
    let head = function.head();
    quote!(#head { #body })
}

/// Whether another attribute of ours must be expanded first; then this one moves below it, so that in either order of writing the guard is
/// outside and the device fallback inside.
pub fn move_below_device(function: &mut Function, arguments: &Arguments, tokens: &TokenStream) -> bool {
    let Some(at) = function.attrs.iter().rposition(is_device) else { return false };
    let krate = &arguments.krate;
    let own: Attribute = parse_quote!(#[#krate::timeout_async(#tokens)]);
    function.attrs.insert(at + 1, own);
    true
}

fn is_device(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last().map(|segment| segment.ident.to_string());
    match last.as_deref() {
        Some("safe_mps_op") => true,
        Some("cfg_attr") => attribute.meta.to_token_stream().to_string().contains("safe_mps_op"),
        _ => false,
    }
}

impl Arguments {
    /// Whether arguments are used more than once, so that each needs a plain name.
    fn needs_names(&self) -> bool {
        self.retry.is_some() || self.fallback.is_some()
    }
}

/// Where the future comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// From the body as an `async` block.
    Async,
    /// From the body as ordinary code that returns a future.
    Eager,
}

/// One guarded call in the making.
struct Call<'a> {
    arguments: &'a Arguments,
    function: &'a Function,
    parameters: Parameters,
    site: Site<'a>,
    returned: Type,
    form: Form,
    block: Group,
}

impl<'a> Call<'a> {
    fn new(arguments: &'a Arguments, function: &'a Function, returned: Type, form: Form, block: Group) -> Self {
        let site =
            Site { krate: &arguments.krate, kind: "timeout_async", name: arguments.name.as_ref(), settings: arguments.settings.clone() };
        let parameters = Parameters::of(&function.sig);
        Self { arguments, function, parameters, site, returned, form, block }
    }

    /// Static, body and call, in an `async` context.
    fn all(&self) -> TokenStream {
        let (declare, keep, call) = (self.site.declare(self.function), self.keep(), self.call());
        let Some(fallback) = &self.arguments.fallback else { return quote!(#declare #call) };
        let (krate, site, arguments) = (&self.arguments.krate, self.site.ident(), self.kept());
        quote! {
            #declare
            #keep
            let outcome = { #call };
            let (error, returned) = match #krate::private::settle(&#site, outcome) {
                ::core::result::Result::Ok(returned) => return returned,
                ::core::result::Result::Err(failed) => failed,
            };
            #krate::private::fall_back(returned, (#(#arguments,)* error,), #fallback).await
        }
    }

    /// The same in a function that is not `async` and returns the future.
    fn returned(&self, pack: impl FnOnce(TokenStream) -> TokenStream) -> TokenStream {
        if self.arguments.needs_names() {
            let all = self.all();
            return pack(quote!(async move { #all }));
        }
        let (krate, site) = (&self.arguments.krate, self.site.ident());
        let (declare, prepare) = (self.site.declare(self.function), self.prepare());
        let future = pack(quote!(#krate::private::call(&#site, returns, body)));
        quote!(#declare #prepare #future)
    }

    /// The call, awaited; with `retry` once for each attempt, because only a body made anew can borrow the arguments anew.
    fn call(&self) -> TokenStream {
        let (krate, site, prepare) = (&self.arguments.krate, self.site.ident(), self.prepare());
        if self.arguments.retry.is_none() {
            return quote!(#prepare #krate::private::call(&#site, returns, body).await);
        }
        quote! {
            let mut attempts = #krate::private::call_again(&#site);
            loop {
                #prepare
                if let ::core::ops::ControlFlow::Break(returned) = attempts.run(returns, body).await {
                    break returned;
                }
            }
        }
    }

    /// `let body = …; let returns = …;`
    fn prepare(&self) -> TokenStream {
        let Arguments { krate, isolate, fallback, .. } = self.arguments;
        let (site, body, returns) = (self.site.ident(), self.body(), self.returns());
        let isolated = isolate.as_ref().map(|_| quote!(let body = #krate::private::isolated(&#site, body);));
        let lifted = fallback.as_ref().map(|_| quote!(let body = #krate::private::lift(returns, body);));
        quote! {
            let body = #body;
            let returns = #returns;
            #isolated
            #lifted
        }
    }

    /// How the guard reads and makes values of the return type; what it needs of that type is asked for at the type's own position, and
    /// what it needs of `on_timeout` at the path's.
    fn returns(&self) -> TokenStream {
        let Self { arguments: Arguments { krate, fallback, on_timeout, .. }, returned, .. } = self;
        let parameters: Vec<&Ident> = self.function.type_parameters().collect();
        let reads = if error_may_borrow(returned, &parameters) { quote!(borrowing) } else { quote!(owned) };
        let or_else = match fallback {
            Some(_) => quote!(or_else),
            None => quote!(alone),
        };
        let on_timeout_is = on_timeout.as_ref().map(|path| quote!(on_timeout #path,));
        let choice = quote!(#reads #or_else body, #on_timeout_is #returned);
        let [start, end] = match on_timeout {
            Some(path) => ends(path),
            None => self.written_type(),
        };
        let mut choice = Group::new(Delimiter::Parenthesis, choice);
        choice.set_span(end);
        let krate = krate_at(krate, start);
        quote_spanned!(start=> #krate::private::returns! #choice)
    }

    /// Where the return type stands, or the function's name where none is written.
    fn written_type(&self) -> [Span; 2] {
        match &self.function.sig.output {
            syn::ReturnType::Default => ends(&self.function.sig.ident),
            syn::ReturnType::Type(_, ty) => ends(ty),
        }
    }

    /// What the fallback will need, set aside before the body takes it.
    fn keep(&self) -> TokenStream {
        if self.arguments.fallback.is_none() {
            return TokenStream::new();
        }
        let krate = &self.arguments.krate;
        let receiver = self.receiver_by_value().then(|| {
            let (kept, again) = (kept_name("this"), self.clone_receiver());
            quote!(let #kept = #again;)
        });
        let values = self.parameters.list.iter().filter(|parameter| parameter.passing == Passing::Value).map(|parameter| {
            let (name, kept) = (&parameter.name, kept_name(&parameter.name.to_string()));
            let again = again(krate, name, &parameter.ty);
            quote!(let #kept = #again;)
        });
        quote!(#receiver #(#values)*)
    }

    /// The fallback's arguments before the error.
    fn kept(&self) -> Vec<TokenStream> {
        let receiver = self.parameters.receiver.map(|_| match self.receiver_by_value() {
            true => kept_name("this").into_token_stream(),
            false => quote!(self),
        });
        let values = self.parameters.list.iter().map(|parameter| match parameter.passing {
            Passing::Value => kept_name(&parameter.name.to_string()).into_token_stream(),
            _ => parameter.name.to_token_stream(),
        });
        receiver.into_iter().chain(values).collect()
    }

    fn receiver_by_value(&self) -> bool {
        self.parameters.receiver == Some(Passing::Value)
    }

    /// The future of one attempt: `async move { … }`, or the future that the body returns.
    fn body(&self) -> TokenStream {
        let krate = &self.arguments.krate;
        let (values, patterns, block) = (self.values(), self.patterns(), self.block());
        let future = match self.form {
            Form::Async => {
                let typed = self.typed_return();
                quote!(async move { #patterns #typed #block })
            }
            Form::Eager => {
                let result = self.written_result();
                match patterns.is_empty() {
                    true => quote!(#krate::private::once(move || #result #block)),
                    false => quote!(#krate::private::once(move || #result { #patterns #block })),
                }
            }
        };
        if values.is_empty() { future } else { quote!({ #values #future }) }
    }

    /// `-> Pin<Box<dyn Future…>>`, so that the body's boxes are coerced; `impl Future` cannot be written there.
    fn written_result(&self) -> TokenStream {
        match &self.function.sig.output {
            output @ syn::ReturnType::Type(_, ty) if !matches!(**ty, Type::ImplTrait(_)) => output.to_token_stream(),
            _ => TokenStream::new(),
        }
    }

    fn block(&self) -> TokenStream {
        match self.own_receiver() {
            Some((this, _)) => receiver::rename(&self.block, &this).into_token_stream(),
            None => self.block.to_token_stream(),
        }
    }

    /// `self` cannot be bound again: where each attempt needs its own, the body calls it by another name.
    fn own_receiver(&self) -> Option<(Ident, TokenStream)> {
        let value = match self.parameters.receiver? {
            Passing::Value if self.arguments.retry.is_some() => self.clone_receiver(),
            Passing::Exclusive if self.arguments.needs_names() => quote!(&mut *self),
            _ => return None,
        };
        Some((Ident::new("__backstop_self", Span::mixed_site()), value))
    }

    fn clone_receiver(&self) -> TokenStream {
        let receiver = self.function.sig.receiver();
        receiver.map(|receiver| again(&self.arguments.krate, &quote!(self), receiver)).unwrap_or_default()
    }

    /// This attempt's arguments, under the names of the signature: clones where there may be another attempt, `&mut`s lent again.
    fn values(&self) -> TokenStream {
        let krate = &self.arguments.krate;
        let retry = self.arguments.retry.is_some();
        let receiver = self.own_receiver().map(|(this, value)| quote!(let #this = #value;));
        let values = self.parameters.list.iter().map(|parameter| {
            let (name, cfgs) = (&parameter.name, &parameter.cfgs);
            let value = match parameter.passing {
                Passing::Value if retry => again(krate, name, &parameter.ty),
                Passing::Exclusive => quote!(&mut *#name),
                _ => return TokenStream::new(),
            };
            quote!(#(#cfgs)* let #name = #value;)
        });
        quote!(#receiver #(#values)*)
    }

    /// The patterns of the signature as it was written, inside the attempt.
    fn patterns(&self) -> TokenStream {
        if !self.arguments.needs_names() {
            return TokenStream::new();
        }
        self.parameters.list.iter().map(Parameter::bind).collect()
    }

    /// A typed `return` that never runs: type errors stay in the body, and the body's value is coerced as in the function itself.
    fn typed_return(&self) -> TokenStream {
        let returned = &self.returned;
        if let Type::Infer(_) = returned {
            return TokenStream::new();
        }
        let [place, _] = self.written_type();
        let value = Ident::new("returned", place);
        let back = quote_spanned!(place=> return #value;);
        quote! {
            if let ::core::option::Option::Some(#value) = ::core::option::Option::None::<#returned> { #back }
        }
    }
}

/// A clone of an argument; that it must have one is said at `place`: about a function that is not called where it is named, the compiler
/// complains there, and not at an argument that the expansion has made.
fn again(krate: &Path, name: &impl ToTokens, place: &impl ToTokens) -> TokenStream {
    let [start, end] = ends(place);
    let krate = krate_at(krate, start);
    let function = Ident::new("again", end);
    let path = quote_spanned!(start=> #krate::private::#function);
    quote!({ let again = #path; again(&#name) })
}

/// Local to the expansion: a name of the same letters in the user's code is another one.
fn kept_name(name: &str) -> Ident {
    Ident::new(&format!("kept_{}", name.trim_start_matches("r#")), Span::mixed_site())
}

/// The first and the last span of some tokens: what the compiler underlines of a call that begins and ends there. They are the user's
/// own spans: one that says "generated" is shown at the attribute.
fn ends(tokens: &impl ToTokens) -> [Span; 2] {
    let mut spans = tokens.to_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::mixed_site);
    [first, spans.last().unwrap_or(first)]
}
