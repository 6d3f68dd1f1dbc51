//! A function's parameters, named so that an expansion can pass them on.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::visit_mut::{VisitMut, visit_pat_ident_mut};
use syn::{Attribute, FnArg, Pat, PatIdent, Receiver, ReceiverKind, Signature, Type, parse_quote};

/// How an argument reaches the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// By value.
    Value,
    /// By `&`: copied freely.
    Shared,
    /// By `&mut`: lent again.
    Exclusive,
}

/// One parameter other than `self`.
pub struct Parameter {
    /// The name under which the rewritten signature takes it.
    pub name: Ident,
    /// The pattern as it was written.
    pub pat: Pat,
    pub ty: Type,
    pub passing: Passing,
    /// The `#[cfg]`s on it.
    pub cfgs: Vec<Attribute>,
    /// Its `#[allow]`s and the like.
    pub lints: Vec<Attribute>,
}

/// The receiver and the other parameters.
pub struct Parameters {
    pub receiver: Option<Passing>,
    pub list: Vec<Parameter>,
}

impl Parameters {
    pub fn of(sig: &Signature) -> Self {
        let receiver = sig.receiver().map(receiver_passing);
        let typed = sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        });
        let list = typed.enumerate().map(|(at, typed)| Parameter {
            name: name(at, &typed.pat),
            pat: (*typed.pat).clone(),
            ty: (*typed.ty).clone(),
            passing: passing(&typed.ty),
            cfgs: named_attributes(&typed.attrs, &["cfg"]),
            lints: named_attributes(&typed.attrs, &["allow", "expect", "warn", "deny", "forbid"]),
        });
        Self { receiver, list: list.collect() }
    }

    /// How each argument is passed, the receiver first.
    pub fn passings(&self) -> impl Iterator<Item = Passing> {
        self.receiver.into_iter().chain(self.list.iter().map(|parameter| parameter.passing))
    }

    /// Whether something is taken by `&mut`.
    pub fn any_exclusive(&self) -> bool {
        self.passings().any(|passing| passing == Passing::Exclusive)
    }

    /// `sig` with a plain name for every parameter; the patterns are bound inside, by [`Parameter::bind`].
    pub fn named(&self, sig: &Signature) -> Signature {
        let mut sig = sig.clone();
        let typed = sig.inputs.iter_mut().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        });
        for (typed, parameter) in typed.zip(&self.list) {
            typed.attrs.retain(|attribute| !attribute.path().is_ident("expect"));
            let name = &parameter.name;
            *typed.pat = parse_quote!(#name);
        }
        sig
    }
}

impl Parameter {
    /// `let <pattern> = <name>;`, under the parameter's `#[cfg]`s and lints.
    pub fn bind(&self) -> TokenStream {
        let Self { name, pat, cfgs, lints, .. } = self;
        let unused = name.to_string().starts_with('_').then(|| quote!(#[allow(clippy::no_effect_underscore_binding)]));
        match pat {
            Pat::Wild(_) => TokenStream::new(),
            _ => quote!(#(#cfgs)* #unused #(#lints)* let #pat = #name;),
        }
    }
}

impl Parameter {
    /// A look at every `mut` binding as a whole: a block that captured only the fields it assigns would be warned of "values never read".
    pub fn hold(&self) -> TokenStream {
        struct Mutable(Vec<Ident>);
        impl VisitMut for Mutable {
            fn visit_pat_ident_mut(&mut self, pat: &mut PatIdent) {
                if pat.mutability.is_some() {
                    self.0.push(pat.ident.clone());
                }
                visit_pat_ident_mut(self, pat);
            }
        }
        let mut mutable = Mutable(Vec::new());
        mutable.visit_pat_mut(&mut self.pat.clone());
        let cfgs = &self.cfgs;
        mutable.0.iter().map(|name| quote!(#(#cfgs)* let _ = &#name;)).collect()
    }
}

fn named_attributes(attributes: &[Attribute], names: &[&str]) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| names.iter().any(|name| attribute.path().is_ident(name))).cloned().collect()
}

/// A plain name is kept for the documentation. Its span says that it is generated, which spares it the lints on names; it is the caller's all
/// the same, so that it cannot be mistaken for a local of the expansion.
fn name(at: usize, pat: &Pat) -> Ident {
    match pat {
        Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) => {
            let mut name = ident.clone();
            name.set_span(Span::call_site().located_at(ident.span()));
            name
        }
        _ => format_ident!("__backstop_{at}", span = Span::mixed_site()),
    }
}

fn passing(ty: &Type) -> Passing {
    match ty {
        Type::Reference(reference) if reference.mutability.is_some() => Passing::Exclusive,
        Type::Reference(_) => Passing::Shared,
        Type::Group(group) => passing(&group.elem),
        Type::Paren(paren) => passing(&paren.elem),
        _ => Passing::Value,
    }
}

fn receiver_passing(receiver: &Receiver) -> Passing {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, None) => Passing::Shared,
        ReceiverKind::Reference(_, _, Some(_)) => Passing::Exclusive,
        ReceiverKind::Typed(_, ty) => passing(ty),
        _ => Passing::Value,
    }
}
