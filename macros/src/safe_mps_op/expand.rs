//! One static, one call.
//!
//! ```text
//! #[safe_mps_op]
//! fn policy_loss(net: &Policy, batch: &Batch) -> Result<Tensor, TchError> { body }
//! ```
//! becomes
//! ```text
//! fn policy_loss(net: &Policy, batch: &Batch) -> Result<Tensor, TchError> {
//!     static __BACKSTOP_DEVICE_SITE: … = Site::safe_mps_op("…::policy_loss").at(…);
//!     submit! { Submitted(&__BACKSTOP_DEVICE_SITE) }
//!     let (returns, arguments) = { …how the types are read and held… };
//!     let returned = run(&__BACKSTOP_DEVICE_SITE, &["net", "batch"], returns, arguments, |(net, batch)| -> Result<Tensor, TchError> { body });
//!     returned
//! }
//! ```
//! A `&mut` argument is lent as `&mut *argument`, and looked at once more after the call: so the compiler proves that nothing keeps
//! it, which the second attempt relies on.
//!
//! In an `async fn` the last lines are a loop that makes a body for each attempt: see `device/attempts.rs` in the runtime. How an argument
//! is held depends on its type, which only the compiler knows: `(&&&&&&of(&net)).kind()` chooses, see `device/argument/choose.rs` in the runtime.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, Path, ReceiverKind, ReturnType, Type};

use super::parse::Arguments;
use crate::function::Function;
use crate::parameters::{Parameters, Passing};
use crate::receiver;
use crate::shape::{error_may_borrow, nameable};
use crate::site::Site;

/// The function with its fallback.
pub fn expand(arguments: &Arguments, function: &Function, block: &Group) -> TokenStream {
    let krate = &arguments.krate;
    let site = Site { krate, kind: "safe_mps_op", name: arguments.name.as_ref(), settings: arguments.settings.clone() };
    let (declare, ident) = (site.declare(function), site.ident());
    let parameters = Parameters::of(&function.sig);
    let passed = passed(function, &parameters);
    let (returns, held) = (returns(krate, function), passed.iter().map(|argument| argument.held(krate)));
    let released = passed.iter().filter(|argument| argument.exclusive).map(|Passed { name, .. }| quote!(let _ = &*#name;));
    let call = match function.sig.asyncness {
        Some(_) => in_turn(krate, &ident, function, &passed, block),
        None => at_once(krate, &ident, function, &passed, block),
    };
    let mut named = function.clone();
    named.sig = without_mut(parameters.named(&function.sig));
    let head = named.head();
    quote_spanned! {Span::mixed_site()=>
        #head {
            #declare
            let (returns, arguments) = {
                #[allow(unused_imports)]
                use #krate::private::device::{
                    ByClone as _, ByMigrate as _, ByReference as _, ByRefs as _, BySkipped as _, BySlice as _, ByValue as _,
                    ErrorsByPanic as _, ErrorsByPointer as _, ErrorsForeign as _, ErrorsFromTch as _, TensorsHidden as _, TensorsShown as _,
                };
                (#returns, (#(#held,)*))
            };
            let returned = #call;
            #(#released)*
            returned
        }
    }
}

/// The call of a function that is not `async`.
fn at_once(krate: &Path, site: &Ident, function: &Function, passed: &[Passed], block: &Group) -> TokenStream {
    let (names, body) = (shown(passed), body(function, passed, block));
    quote_spanned!(Span::mixed_site()=> #krate::private::device::run(&#site, &[#(#names),*], returns, arguments, #body))
}

/// The call of an `async fn`: a new body for each attempt, because a closure would forbid to spawn the future.
fn in_turn(krate: &Path, site: &Ident, function: &Function, passed: &[Passed], block: &Group) -> TokenStream {
    let (names, patterns) = (shown(passed), passed.iter().map(|argument| &argument.pat));
    let (typed, block) = (typed_return(function), own_block(function, block));
    quote_spanned! {Span::mixed_site()=>
        {
            let mut arguments = arguments;
            let mut attempts = #krate::private::device::attempts(&#site, &[#(#names),*], returns, &mut arguments);
            loop {
                let (attempt, lent) = attempts.lend();
                let ended = attempt.run(async move {
                    let (#(#patterns,)*) = lent;
                    #typed
                    #block
                }).await;
                attempts = match attempts.settle(ended) {
                    ::core::ops::ControlFlow::Break(returned) => break returned,
                    ::core::ops::ControlFlow::Continue(attempts) => attempts,
                };
            }
        }
    }
}

fn shown(passed: &[Passed]) -> impl Iterator<Item = &str> {
    passed.iter().map(|argument| &*argument.shown)
}

/// A typed `return` that never runs: the body's value is coerced as in the function itself.
fn typed_return(function: &Function) -> TokenStream {
    match &function.sig.output {
        ReturnType::Type(_, ty) if contains_impl(ty) => TokenStream::new(),
        output => {
            let returned: Type = match output {
                ReturnType::Default => syn::parse_quote!(()),
                ReturnType::Type(_, ty) => (**ty).clone(),
            };
            let span = returned.span().resolved_at(Span::mixed_site());
            quote_spanned! {span=>
                if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<#returned> {
                    return returned;
                }
            }
        }
    }
}

/// One argument, the receiver included.
struct Passed {
    /// For messages.
    shown: String,
    /// What the rewritten signature calls it.
    name: TokenStream,
    /// What the body binds it to.
    pat: TokenStream,
    span: Span,
    /// By `&mut`.
    exclusive: bool,
}

impl Passed {
    fn held(&self, krate: &syn::Path) -> TokenStream {
        let (name, span) = (&self.name, self.span.resolved_at(Span::mixed_site()));
        let lent = if self.exclusive { quote_spanned!(span=> &mut *#name) } else { name.clone() };
        quote_spanned!(span=> (&&&&&&#krate::private::device::of(&#name)).kind().hold(#lent))
    }
}

/// `self` cannot be bound by a closure's pattern, so the body calls it by another name.
fn this() -> Ident {
    Ident::new("__backstop_self", Span::mixed_site())
}

fn passed(function: &Function, parameters: &Parameters) -> Vec<Passed> {
    let receiver = function.sig.receiver().map(|receiver| {
        let (this, mutability) = (this(), receiver.mutability);
        let span = match &receiver.kind {
            ReceiverKind::Typed(_, ty) => ty.span(),
            _ => receiver.self_token.span(),
        };
        Passed {
            shown: "self".to_owned(),
            name: receiver.self_token.to_token_stream(),
            pat: quote!(#mutability #this),
            span,
            exclusive: parameters.receiver == Some(Passing::Exclusive),
        }
    });
    let rest = parameters.list.iter().map(|parameter| Passed {
        shown: parameter.pat.to_token_stream().to_string(),
        name: parameter.name.to_token_stream(),
        pat: parameter.pat.to_token_stream(),
        span: parameter.ty.span(),
        exclusive: parameter.passing == Passing::Exclusive,
    });
    receiver.into_iter().chain(rest).collect()
}

/// `mut self` is bound `mut` inside; outside it would be a warning.
fn without_mut(mut sig: syn::Signature) -> syn::Signature {
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first_mut() {
        receiver.mutability = None;
    }
    sig
}

/// How the return type is read. What cannot be named, or borrows its error, fails by panic only as far as the fallback sees.
fn returns(krate: &syn::Path, function: &Function) -> TokenStream {
    let returned: Type = match &function.sig.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    let device = quote!(#krate::private::device);
    if contains_impl(&returned) {
        return quote!(#device::returns(#device::Panics, #device::Hidden));
    }
    let parameters: Vec<&Ident> = function.type_parameters().collect();
    let errors = match error_may_borrow(&returned, &parameters) {
        true => quote!(#device::Panics),
        false => quote!((&&&&#device::ResultOf::<#returned>::new()).errors()),
    };
    quote!(#device::returns(#errors, (&&#device::ResultOf::<#returned>::new()).tensors()))
}

fn contains_impl(ty: &Type) -> bool {
    nameable(ty.clone()).to_token_stream().to_string() != ty.to_token_stream().to_string()
}

fn body(function: &Function, passed: &[Passed], block: &Group) -> TokenStream {
    let patterns = passed.iter().map(|argument| &argument.pat);
    let block = own_block(function, block);
    let output = match &function.sig.output {
        ReturnType::Default => quote!(-> ()),
        ReturnType::Type(_, ty) if contains_impl(ty) => TokenStream::new(),
        output @ ReturnType::Type(..) => output.to_token_stream(),
    };
    quote!(|(#(#patterns,)*)| #output #block)
}

fn own_block(function: &Function, block: &Group) -> Group {
    match function.sig.receiver() {
        Some(_) => receiver::rename(block, &this()),
        None => block.clone(),
    }
}
