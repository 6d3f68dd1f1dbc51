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
//!     let returns = returns!(Result<Quote, ApiError>);
//!     let body = async move { <a typed return that never runs> { body } };
//!     call(&__BACKSTOP_SITE, returns, body).await
//! }
//! ```
//! With `retry` the body becomes a closure that makes one attempt, with `fallback` the call gives a `Result` and `or_else` decides.
//! Local names are hygienic (`mixed_site`), paths are absolute.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Path, Type, parse_quote};

use super::parse::Arguments;
use crate::function::{Body, Function};
use crate::parameters::{Parameter, Parameters, Passing};
use crate::receiver;
use crate::shape::{Shape, error_may_borrow, nameable};
use crate::site::Site;

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
    block: proc_macro2::Group,
}

impl<'a> Call<'a> {
    fn new(arguments: &'a Arguments, function: &'a Function, returned: Type, form: Form, block: proc_macro2::Group) -> Self {
        let site =
            Site { krate: &arguments.krate, kind: "timeout_async", name: arguments.name.as_ref(), settings: arguments.settings.clone() };
        let parameters = Parameters::of(&function.sig);
        Self { arguments, function, parameters, site, returned, form, block }
    }

    /// Static, body and call, in an `async` context.
    fn all(&self) -> TokenStream {
        let (declare, prepare, run) = (self.site.declare(self.function), self.prepare(), self.run());
        quote!(#declare #prepare #run)
    }

    /// The same in a function that is not `async` and returns the future.
    fn returned(&self, pack: impl FnOnce(TokenStream) -> TokenStream) -> TokenStream {
        let (declare, prepare, run) = (self.site.declare(self.function), self.prepare(), self.run());
        if self.arguments.fallback.is_some() || self.arguments.retry.is_some() {
            let future = pack(quote!(async move { #prepare #run }));
            return quote!(#declare #future);
        }
        let (krate, site) = (&self.arguments.krate, self.site.ident());
        let future = pack(quote!(#krate::private::call(&#site, returns, body)));
        quote!(#declare #prepare #future)
    }

    /// `let returns = …; let body = …;`
    fn prepare(&self) -> TokenStream {
        let returns = self.returns();
        let (keep, body) = (self.keep(), self.body());
        quote! {
            let returns = #returns;
            #keep
            let body = #body;
        }
    }

    /// The call itself, awaited.
    fn run(&self) -> TokenStream {
        let (krate, site) = (&self.arguments.krate, self.site.ident());
        let function = if self.arguments.retry.is_some() { quote!(call_again) } else { quote!(call) };
        let call = quote!(#krate::private::#function(&#site, returns, body).await);
        let Some(fallback) = &self.arguments.fallback else { return call };
        let arguments = self.kept();
        quote! {
            let outcome = #call;
            #krate::private::or_else(&#site, outcome, #fallback, move |error| (#(#arguments,)* error)).await
        }
    }

    /// How the guard reads and makes values of the return type; what it needs of that type is asked for at the type's own position, and
    /// what it needs of `on_timeout` at the path's.
    fn returns(&self) -> TokenStream {
        let Self { arguments: Arguments { krate, fallback, on_timeout, .. }, returned, .. } = self;
        let parameters: Vec<&Ident> = self.function.type_parameters().collect();
        let reads = match returned {
            Type::Infer(_) => quote!(value),
            _ if error_may_borrow(returned, &parameters) => quote!(borrowing),
            _ => quote!(owned),
        };
        let or_else = fallback.as_ref().map(|_| quote!(or_else));
        let choice = match (on_timeout, &or_else) {
            (Some(path), _) => quote!(#reads on_timeout #or_else #path => #returned),
            (None, Some(_)) => quote!(#reads or_else #returned),
            (None, None) => quote!(#reads alone #returned),
        };
        let [start, end] = match on_timeout {
            Some(path) => ends(path),
            None => self.written_type(),
        };
        let mut choice = proc_macro2::Group::new(proc_macro2::Delimiter::Parenthesis, choice);
        choice.set_span(end);
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
            let kept = kept_name("this");
            quote!(let #kept = #krate::private::again(&self);)
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

    /// The future of the one attempt, or a closure that makes the future of each.
    fn body(&self) -> TokenStream {
        let (values, attempt) = (self.values(), self.attempt());
        match (&self.arguments.retry, &self.arguments.fallback) {
            (None, None) => attempt,
            (None, Some(_)) => quote!({ #values #attempt }),
            (Some(_), None) if self.parameters.any_exclusive() => quote!(async move || { #values #attempt.await }),
            (Some(_), Some(_)) if self.parameters.any_exclusive() => quote!(async || { #values #attempt.await }),
            (Some(_), _) => quote!(move || { #values #attempt }),
        }
    }

    /// One attempt: `async move { … }`, or the future that the body returns.
    fn attempt(&self) -> TokenStream {
        let Arguments { krate, isolate, fallback, .. } = self.arguments;
        let (site, block, patterns) = (self.site.ident(), self.block(), self.patterns());
        let mut future = match self.form {
            Form::Async => {
                let (start, typed) = (self.start(), self.typed_return());
                quote!(#start { #patterns #typed #block })
            }
            Form::Eager => {
                let result = self.written_result();
                quote!(#krate::private::once(move || #result { #patterns #block }))
            }
        };
        if isolate.is_some() {
            future = quote!(#krate::private::isolated(&#site, #future));
        }
        if fallback.is_some() {
            future = quote!(#krate::private::lift(returns, #future));
        }
        future
    }

    /// `-> Pin<Box<dyn Future…>>`, so that the body's boxes are coerced; `impl Future` cannot be written there.
    fn written_result(&self) -> TokenStream {
        match &self.function.sig.output {
            output @ syn::ReturnType::Type(_, ty) if !matches!(**ty, Type::ImplTrait(_)) => output.to_token_stream(),
            _ => TokenStream::new(),
        }
    }

    /// A `self` that is lent cannot be moved in, because it is needed again; everything else can.
    fn start(&self) -> TokenStream {
        let lent = self.arguments.needs_names() && self.parameters.receiver == Some(Passing::Exclusive);
        if lent { quote!(async) } else { quote!(async move) }
    }

    fn block(&self) -> TokenStream {
        match self.retried_receiver() {
            Some(this) => receiver::rename(&self.block, &this).into_token_stream(),
            None => self.block.to_token_stream(),
        }
    }

    /// `self` cannot be bound again: where each attempt needs its own clone of it, the body calls it by another name.
    fn retried_receiver(&self) -> Option<Ident> {
        (self.arguments.retry.is_some() && self.receiver_by_value()).then(|| Ident::new("__backstop_self", Span::mixed_site()))
    }

    /// This attempt's arguments, under the names of the signature: clones where there may be another attempt, `&mut`s lent again.
    fn values(&self) -> TokenStream {
        let krate = &self.arguments.krate;
        let retry = self.arguments.retry.is_some();
        let receiver = self.retried_receiver().map(|this| quote!(let #this = #krate::private::again(&self);));
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
        quote! {
            #[allow(unreachable_code, clippy::all, clippy::pedantic)]
            if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<#returned> {
                return returned;
            }
        }
    }
}

/// A clone of an argument; that there must be one is said at its type.
fn again(krate: &Path, name: &Ident, ty: &Type) -> TokenStream {
    let again = quote_spanned!(ty.span()=> #krate::private::again);
    quote!(#again(&#name))
}

/// Local to the expansion: a name of the same letters in the user's code is another one.
fn kept_name(name: &str) -> Ident {
    Ident::new(&format!("kept_{}", name.trim_start_matches("r#")), Span::mixed_site())
}

/// The first and the last span of some tokens: what the compiler underlines of a call that begins and ends there.
fn ends(tokens: &impl ToTokens) -> [Span; 2] {
    let mut spans = tokens.to_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::mixed_site);
    [first, spans.last().unwrap_or(first)].map(|span| Span::mixed_site().located_at(span))
}
