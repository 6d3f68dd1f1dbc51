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
//!     enum __BackstopSite {}                              // stands for the static, where a type is wanted
//!     impl Sited for __BackstopSite { … }
//!     {
//!         let body = async move { <a typed return that never runs> { body } };
//!         let returns = returns!(… body, Result<Quote, ApiError>);
//!         call::<__BackstopSite, _, _>(returns, body)
//!     }
//!     .await
//! }
//! ```
//! The block is there so that the future that is awaited holds the body once: a local that was borrowed would keep its place beside it.
//! With `retry` the block stands in a loop that ends when the runtime says so; with `fallback` it gives a `Result`, and its
//! error goes to the fallback. Closures in place of the loop would do, if a future that holds an `async` closure stayed `Send`.
//! Local names are hygienic (`mixed_site`), paths are absolute.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Attribute, FnArg, Signature, Type, parse_quote};

use super::parse::Arguments;
use crate::function::{Body, Function};
use crate::parameters::Parameters;
use crate::shape::{Shape, error_may_borrow, nameable};
use crate::site::{Site, krate_at};

/// The guarded function.
pub fn expand(arguments: &Arguments, function: &Function, shape: Shape) -> TokenStream {
    let Body::Block(block) = &function.body else { return function.to_token_stream() };
    let mut block = block.clone();
    let call = |returned: Type, form: Form, block| Call::new(arguments, function, nameable(returned), form, block);
    let body = match shape {
        Shape::Plain(_) => return function.to_token_stream(),
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
        if arguments.retry.is_some() {
            take_mut_inside(&mut function.sig);
        }
    }
    let head = function.head();
    quote!(#head { #body })
}

/// `mut self` becomes `self`: what the body changes is each attempt's own clone.
fn take_mut_inside(sig: &mut Signature) {
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first_mut() {
        receiver.mutability = None;
    }
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
    pub fn needs_names(&self) -> bool {
        self.retry.is_some() || self.fallback.is_some()
    }
}

/// Where the future comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// From the body as an `async` block.
    Async,
    /// From the body as ordinary code that returns a future.
    Eager,
}

/// One guarded call in the making.
pub struct Call<'a> {
    pub arguments: &'a Arguments,
    pub function: &'a Function,
    pub parameters: Parameters,
    pub site: Site<'a>,
    pub returned: Type,
    pub form: Form,
    pub block: Group,
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
        let (declare, keep, call) = (self.declare(), self.keep(), self.call());
        let Some(fallback) = &self.arguments.fallback else { return quote!(#declare #call) };
        let (krate, site, arguments) = (&self.arguments.krate, self.site.ident(), self.kept());
        let [outcome, error, returned, failed] = ["outcome", "error", "returned", "failed"].map(local);
        quote! {
            #declare
            #keep
            let #outcome = { #call };
            let (#error, #returned) = match #krate::private::settle(&#site, #outcome) {
                ::core::result::Result::Ok(#returned) => return #returned,
                ::core::result::Result::Err(#failed) => #failed,
            };
            #krate::private::fall_back(#returned, (#(#arguments,)* #error,), #fallback).await
        }
    }

    /// The static, and for a call that is made once the type that stands for it.
    fn declare(&self) -> TokenStream {
        let (declare, stand_in) = (self.site.declare(self.function), self.site.declare_stand_in());
        if self.arguments.retry.is_none() { quote!(#declare #stand_in) } else { declare }
    }

    /// The same in a function that is not `async` and returns the future.
    fn returned(&self, pack: impl FnOnce(TokenStream) -> TokenStream) -> TokenStream {
        if self.arguments.needs_names() {
            let all = self.all();
            return pack(quote!(async move { #all }));
        }
        let (krate, here) = (&self.arguments.krate, self.site.stand_in());
        let (declare, prepare) = (self.declare(), self.prepare());
        let [body, returns] = ["body", "returns"].map(local);
        let future = pack(quote!(#krate::private::call::<#here, _, _>(#returns, #body)));
        quote!(#declare #prepare #future)
    }

    /// The call, awaited; with `retry` once for each attempt, because only a body made anew can borrow the arguments anew.
    fn call(&self) -> TokenStream {
        let (krate, site, prepare) = (&self.arguments.krate, self.site.ident(), self.prepare());
        let [body, returns, attempts, returned] = ["body", "returns", "attempts", "returned"].map(local);
        if self.arguments.retry.is_none() {
            let here = self.site.stand_in();
            return quote!({ #prepare #krate::private::call::<#here, _, _>(#returns, #body) }.await);
        }
        quote! {
            let mut #attempts = #krate::private::call_again(&#site);
            loop {
                if let ::core::ops::ControlFlow::Break(#returned) = { #prepare #attempts.run(#returns, #body) }.await {
                    break #returned;
                }
            }
        }
    }

    /// `let body = …; let returns = …;`
    fn prepare(&self) -> TokenStream {
        let Arguments { krate, isolate, fallback, .. } = self.arguments;
        let (site, future, choice) = (self.site.ident(), self.body(), self.returns());
        let [body, returns] = ["body", "returns"].map(local);
        let isolated = isolate.as_ref().map(|_| quote!(let #body = #krate::private::isolated(&#site, #body);));
        let lifted = fallback.as_ref().map(|_| quote!(let #body = #krate::private::lift(#returns, #body);));
        quote! {
            let #body = #future;
            let #returns = #choice;
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
        let body = local("body");
        let choice = quote!(#reads #or_else #body, #on_timeout_is #returned);
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
    pub fn written_type(&self) -> [Span; 2] {
        match &self.function.sig.output {
            syn::ReturnType::Default => ends(&self.function.sig.ident),
            syn::ReturnType::Type(_, ty) => ends(ty),
        }
    }
}

/// A name local to the expansion: the same letters in the user's code are another name.
pub fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The first and the last span of some tokens: what the compiler underlines of a call that begins and ends there. They are the user's
/// own spans: one that says "generated" is shown at the attribute.
pub fn ends(tokens: &impl ToTokens) -> [Span; 2] {
    let mut spans = tokens.to_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::mixed_site);
    [first, spans.last().unwrap_or(first)]
}
