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
//! In an `async fn` the last lines are a loop that makes a body for each attempt: see `device/attempts.rs` in the runtime. In a function that
//! returns a future they stand in an `async` block, and the future of each attempt is the one that the body returns. How an argument
//! is held depends on its type, which only the compiler knows: `(&&&&&&of(&net)).kind()` chooses, see `device/argument/choose.rs` in the runtime.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Path, Type};

use super::parse::Arguments;
use super::passed::{Passed, this};
use crate::function::Function;
use crate::parameters::Parameters;
use crate::receiver;
use crate::shape::{Shape, error_may_borrow, nameable, some_lifetime};
use crate::site::Site;

/// The function with its fallback.
pub fn expand(arguments: &Arguments, function: &Function, shape: Shape, block: &Group) -> TokenStream {
    let krate = &arguments.krate;
    let site = Site { krate, kind: "safe_mps_op", name: arguments.name.as_ref(), settings: arguments.settings.clone() };
    let parameters = Parameters::of(&function.sig);
    let passed = Passed::all(function, &parameters, shape.result());
    let declare = site.declare(function);
    let call = Call { krate, site: site.ident(), function, passed, shape, block: own_block(function, block) };
    let body = call.all();
    let mut named = function.clone();
    named.sig = without_mut(parameters.named(&function.sig));
    let head = named.head();
    quote!(#head { #declare #body })
}

/// One guarded call in the making.
struct Call<'a> {
    krate: &'a Path,
    site: Ident,
    function: &'a Function,
    passed: Vec<Passed>,
    shape: Shape,
    block: Group,
}

impl Call<'_> {
    /// What stands after the static.
    fn all(&self) -> TokenStream {
        let whole = self.whole();
        match self.shape {
            Shape::Future(_) => quote!(async move { #whole }),
            Shape::Boxed(_) => quote!(::std::boxed::Box::pin(async move { #whole })),
            Shape::Async(_) | Shape::Runtime(..) | Shape::Plain(_) => whole,
        }
    }

    fn whole(&self) -> TokenStream {
        let krate = self.krate;
        let (returns, held) = (self.returns(), self.passed.iter().map(|argument| argument.held(krate)));
        let released = self.passed.iter().filter_map(Passed::released);
        let call = match &self.shape {
            Shape::Async(_) | Shape::Future(_) | Shape::Boxed(_) => self.in_turn(),
            Shape::Runtime(..) | Shape::Plain(_) => self.at_once(),
        };
        quote_spanned! {Span::mixed_site()=>
            let (returns, arguments) = {
                #[allow(unused_imports)]
                use #krate::private::device::{
                    Bind as _, ByClone as _, ByMigrate as _, ByReference as _, ByRefs as _, BySkipped as _, BySkippedValue as _, BySlice as _, ByValue as _,
                    ErrorsByPanic as _, ErrorsByPointer as _, ErrorsForeign as _, ErrorsFromTch as _, TensorsHidden as _, TensorsShown as _,
                };
                (#returns, (#(#held,)*))
            };
            let returned = #call;
            #(#released)*
            returned
        }
    }

    /// The call of a function that does its work before it returns.
    fn at_once(&self) -> TokenStream {
        let Self { krate, site, block, .. } = self;
        let (names, lints, patterns) = (self.names(), self.lints(), self.patterns());
        let output = self.named_result().map(|returned| quote!(-> #returned));
        quote_spanned! {Span::mixed_site()=>
            #krate::private::device::run(&#site, &[#(#names),*], returns, arguments, |#(#lints)* #patterns| #output #block)
        }
    }

    /// The call of a function that does its work in a future: a new one for each attempt, because a closure would forbid to spawn it.
    fn in_turn(&self) -> TokenStream {
        let Self { krate, site, .. } = self;
        let (names, body) = (self.names(), self.body());
        quote_spanned! {Span::mixed_site()=>
            {
                let mut arguments = arguments;
                let mut attempts = #krate::private::device::attempts(&#site, &[#(#names),*], returns, &mut arguments);
                loop {
                    let (attempt, lent) = attempts.lend();
                    let ended = attempt.run(async move { #body }).await;
                    attempts = match attempts.settle(ended) {
                        ::core::ops::ControlFlow::Break(returned) => break returned,
                        ::core::ops::ControlFlow::Continue(attempts) => attempts,
                    };
                }
            }
        }
    }

    /// One attempt, in an `async` block: the body, or the future that it returns.
    fn body(&self) -> TokenStream {
        let Self { krate, block, .. } = self;
        let (lints, patterns) = (self.lints(), self.patterns());
        let bind = quote_spanned!(Span::mixed_site()=> #(#lints)* let #patterns = lent;);
        let Shape::Async(_) = self.shape else {
            let future = self.future().map(|future| quote!(-> #future));
            return quote_spanned! {Span::mixed_site()=>
                #krate::private::once(move || #future { #bind #block }).await
            };
        };
        let typed = self.typed_return();
        quote!(#bind #typed #block)
    }

    /// The boxed future of one attempt, which lives no longer than the attempt's arguments.
    fn future(&self) -> Option<Type> {
        match (&self.shape, &self.function.sig.output) {
            (Shape::Boxed(_), syn::ReturnType::Type(_, written)) => Some(nameable(some_lifetime((**written).clone()))),
            _ => None,
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.passed.iter().map(|argument| &*argument.shown)
    }

    /// Of all arguments, since they are bound together.
    fn lints(&self) -> impl Iterator<Item = &Attribute> {
        self.passed.iter().flat_map(|argument| &argument.lints)
    }

    fn patterns(&self) -> TokenStream {
        let patterns = self.passed.iter().map(|argument| &argument.pat);
        quote!((#(#patterns,)*))
    }

    /// A typed `return` that never runs: the body's value is coerced as in the function itself.
    fn typed_return(&self) -> TokenStream {
        let Some(returned) = self.named_result() else { return TokenStream::new() };
        let span = returned.span().resolved_at(Span::mixed_site());
        quote_spanned! {span=>
            if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<#returned> {
                return returned;
            }
        }
    }

    /// What the body's work ends with, where that can be named.
    fn named_result(&self) -> Option<&Type> {
        Some(self.shape.result()).filter(|result| !contains_impl(result))
    }

    /// How the result is read. What cannot be named, or borrows its error, fails by panic only as far as the fallback sees.
    fn returns(&self) -> TokenStream {
        let krate = self.krate;
        let device = quote!(#krate::private::device);
        let Some(returned) = self.named_result() else {
            return quote!(#device::returns(#device::Panics, #device::Hidden));
        };
        let parameters: Vec<&Ident> = self.function.type_parameters().collect();
        let errors = match error_may_borrow(returned, &parameters) {
            true => quote!(#device::Panics),
            false => quote!((&&&&#device::ResultOf::<#returned>::new()).errors()),
        };
        quote!(#device::returns(#errors, (&&#device::ResultOf::<#returned>::new()).tensors()))
    }
}

/// `mut self` is bound `mut` inside; outside it would be a warning.
fn without_mut(mut sig: syn::Signature) -> syn::Signature {
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first_mut() {
        receiver.mutability = None;
    }
    sig
}

fn contains_impl(ty: &Type) -> bool {
    nameable(ty.clone()).to_token_stream().to_string() != ty.to_token_stream().to_string()
}

fn own_block(function: &Function, block: &Group) -> Group {
    match function.sig.receiver() {
        Some(_) => receiver::rename(block, &this()),
        None => block.clone(),
    }
}
