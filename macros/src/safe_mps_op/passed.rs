//! One argument on its way into the body.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Path, Receiver, ReceiverKind, Type};

use crate::borrows::lenders;
use crate::function::Function;
use crate::parameters::{Parameter, Parameters, Passing};

/// One argument, the receiver included.
pub struct Passed {
    /// For messages.
    pub shown: String,
    /// What the rewritten signature calls it.
    name: TokenStream,
    /// What the body binds it to.
    pub pat: TokenStream,
    /// Its `#[allow]`s and the like.
    pub lints: Vec<Attribute>,
    span: Span,
    passing: Passing,
    /// Whether the result may borrow from it.
    lends: bool,
}

impl Passed {
    /// All arguments of a function with this result.
    pub fn all(function: &Function, parameters: &Parameters, result: &Type) -> Vec<Self> {
        let receiver = function.sig.receiver().map(|receiver| Self::receiver(receiver, parameters.receiver));
        let mut all: Vec<Self> = receiver.into_iter().chain(parameters.list.iter().map(Self::parameter)).collect();
        for (passed, lends) in all.iter_mut().zip(lenders(&function.sig, result)) {
            passed.lends = lends;
        }
        all
    }

    fn receiver(receiver: &Receiver, passing: Option<Passing>) -> Self {
        let (this, mutability) = (this(), receiver.mutability);
        let span = match &receiver.kind {
            ReceiverKind::Typed(_, ty) => ty.span(),
            _ => receiver.self_token.span(),
        };
        Self {
            shown: "self".to_owned(),
            name: receiver.self_token.to_token_stream(),
            pat: quote!(#mutability #this),
            lints: Vec::new(),
            span,
            passing: passing.unwrap_or(Passing::Value),
            lends: false,
        }
    }

    fn parameter(parameter: &Parameter) -> Self {
        Self {
            shown: parameter.pat.to_token_stream().to_string(),
            name: parameter.name.to_token_stream(),
            pat: parameter.pat.to_token_stream(),
            lints: parameter.lints.clone(),
            span: parameter.ty.span(),
            passing: parameter.passing,
            lends: false,
        }
    }

    /// How the call holds it: chosen by its type, see `device/argument/choose.rs` in the runtime.
    pub fn held(&self, krate: &Path) -> TokenStream {
        let (name, span) = (&self.name, self.span.resolved_at(Span::mixed_site()));
        let lent = if self.is_exclusive() { quote_spanned!(span=> &mut *#name) } else { name.clone() };
        let held = quote_spanned!(span=> (&&&&&&#krate::private::device::of(&#name)).kind().hold(#lent));
        match self.passing {
            _ if self.lends => quote_spanned!(span=> #held.bind()),
            // A type may be another name for a `&mut`, which would not be lent again here.
            Passing::Value => quote_spanned!(span=> #krate::private::device::as_written(#held)),
            Passing::Shared | Passing::Exclusive => held,
        }
    }

    fn is_exclusive(&self) -> bool {
        self.passing == Passing::Exclusive
    }

    /// A look at what was lent by `&mut`, after the call: so the compiler proves that nothing keeps it.
    pub fn released(&self) -> Option<TokenStream> {
        let name = &self.name;
        (self.is_exclusive() && !self.lends).then(|| quote!(let _ = &*#name;))
    }
}

/// `self` cannot be bound by a closure's pattern, so the body calls it by another name.
pub fn this() -> Ident {
    Ident::new("__backstop_self", Span::mixed_site())
}
