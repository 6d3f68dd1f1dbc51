//! The body of one attempt, and the arguments that it and the fallback get.
//!
//! ```text
//! {
//!     let this = &mut *self;                              // lent again
//!     let order = again(&order);                          // cloned, where there may be another attempt
//!     async move {
//!         let mut order = order;                          // the patterns of the signature
//!         if let Some(returned) = None::<R> { return returned; }
//!         { body }
//!     }
//! }
//! ```

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Path, Type};

use super::expand::{Call, Form, ends, local};
use crate::parameters::{Parameter, Passing};
use crate::receiver;
use crate::site::krate_at;

impl Call<'_> {
    /// What the fallback will need, set aside before the body takes it.
    pub fn keep(&self) -> TokenStream {
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
    pub fn kept(&self) -> Vec<TokenStream> {
        let receiver = self.function.sig.receiver().map(|receiver| match self.receiver_by_value() {
            true => kept_name("this").into_token_stream(),
            false => receiver.self_token.to_token_stream(),
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
    pub fn body(&self) -> TokenStream {
        let krate = &self.arguments.krate;
        let (values, patterns, block) = (self.values(), self.patterns(), self.block());
        let future = match self.form {
            Form::Async => {
                let typed = self.typed_return();
                quote!(async move { #patterns #typed #block })
            }
            Form::Eager => {
                let result = self.written_result();
                let once = match patterns.is_empty() {
                    true => quote!(#krate::private::once(move || #result #block)),
                    false => quote!(#krate::private::once(move || #result { #patterns #block })),
                };
                // What comes before the future belongs to the attempt: it waits for its turn, and its limit runs.
                if self.arguments.needs_names() { quote!(async move { #once.await }) } else { once }
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
        let this = self.function.sig.receiver()?.self_token;
        let value = match self.parameters.receiver? {
            Passing::Value if self.arguments.retry.is_some() => self.clone_receiver(),
            Passing::Exclusive if self.arguments.needs_names() => quote!(&mut *#this),
            _ => return None,
        };
        Some((Ident::new("__backstop_self", Span::mixed_site()), value))
    }

    fn clone_receiver(&self) -> TokenStream {
        let receiver = self.function.sig.receiver();
        receiver.map(|receiver| again(&self.arguments.krate, &receiver.self_token, receiver)).unwrap_or_default()
    }

    /// This attempt's arguments, under the names of the signature: clones where there may be another attempt, `&mut`s lent again.
    fn values(&self) -> TokenStream {
        let krate = &self.arguments.krate;
        let retry = self.arguments.retry.is_some();
        let mutability = self.function.sig.receiver().and_then(|receiver| receiver.mutability);
        let receiver = self.own_receiver().map(|(this, value)| quote!(let #mutability #this = #value;));
        let values = self.parameters.list.iter().map(|parameter| {
            let (name, cfgs) = (&parameter.name, &parameter.cfgs);
            let value = match parameter.passing {
                Passing::Value if retry => again(krate, name, &parameter.ty),
                Passing::Exclusive if self.arguments.needs_names() => quote!(&mut *#name),
                _ => return TokenStream::new(),
            };
            quote!(#(#cfgs)* let #name = #value;)
        });
        quote!(#receiver #(#values)*)
    }

    /// The patterns of the signature as it was written, inside the attempt; where the signature has them still, what is `mut` in it.
    fn patterns(&self) -> TokenStream {
        let receiver = self.function.sig.receiver().filter(|receiver| receiver.mutability.is_some());
        let receiver = receiver.map(|receiver| match self.own_receiver() {
            Some((this, _)) => quote!(let _ = &#this;),
            None => {
                let this = receiver.self_token;
                quote!(let _ = &#this;)
            }
        });
        let each = if self.arguments.needs_names() { Parameter::bind } else { Parameter::hold };
        let patterns = self.parameters.list.iter().map(each);
        quote!(#receiver #(#patterns)*)
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
    let (function, again) = (Ident::new("again", end), local("again"));
    let path = quote_spanned!(start=> #krate::private::#function);
    quote!({ let #again = #path; #again(&#name) })
}

fn kept_name(name: &str) -> Ident {
    local(&format!("kept_{}", name.trim_start_matches("r#")))
}
