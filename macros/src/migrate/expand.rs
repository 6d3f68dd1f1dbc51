//! Three methods, each field in order.
//!
//! ```text
//! impl Migrate for Policy {
//!     fn visit(&self, visitor: &mut Visitor<'_>) {
//!         match self {
//!             Policy { net: __0, name: __1 } => {
//!                 (&&&field(__0)).visit(__0, visitor);
//!                 (&&&field(__1)).visit(__1, visitor);
//!             }
//!         }
//!     }
//!     …
//! }
//! ```
//! Whether a field holds tensors only the compiler knows: `(&&&field(__0))` chooses, see `device/field.rs` in the runtime.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Generics, parse_quote};

use super::parse::{Field, Input, Variant};

/// `Migrate`, and `Rebuild` unless a field is skipped.
pub fn expand(input: &Input) -> TokenStream {
    let rebuild = (!input.any_skipped()).then(|| rebuild(input));
    let Input { krate, name, generics, .. } = input;
    let device = quote!(#krate::private::device);
    let bounded = bounded(generics, &quote!(#device::Migrate));
    let (impls, _, clause) = bounded.split_for_impl();
    let (_, types, _) = generics.split_for_impl();
    let visit = arms(input, &quote!(ref), |field, name| match field.skipped {
        true => skipped(field),
        false => call(&device, field, name, "visit", &quote!(visitor)),
    });
    let visit_mut = arms(input, &quote!(ref mut), |field, name| match field.skipped {
        true => TokenStream::new(),
        false => call(&device, field, name, "visit_mut", &quote!(visitor)),
    });
    let traits = traits(&device);
    quote! {
        #[automatically_derived]
        #[allow(unused_imports, unused_variables, unreachable_code)]
        impl #impls #device::Migrate for #name #types #clause {
            fn visit(&self, visitor: &mut #device::Visitor<'_>) {
                #traits
                match *self { #visit }
            }
            fn visit_mut(&mut self, visitor: &mut #device::VisitorMut<'_>) {
                #traits
                match *self { #visit_mut }
            }
        }
        #rebuild
    }
}

fn rebuild(input: &Input) -> TokenStream {
    let Input { krate, name, generics, variants } = input;
    let device = quote!(#krate::private::device);
    let bounded = bounded(generics, &quote!(#device::Rebuild));
    let (impls, _, clause) = bounded.split_for_impl();
    let (_, types, _) = generics.split_for_impl();
    let arms = variants.iter().map(|variant| {
        let (path, pattern) = (path(variant), pattern(variant, &quote!(ref)));
        let values = variant.fields.iter().zip(names()).map(|(field, name)| {
            let (member, value) = (&field.member, call(&device, field, &name, "rebuild", &quote!(moves)));
            quote!(#member: #value)
        });
        quote!(#pattern => #path { #(#values),* },)
    });
    let traits = traits(&device);
    quote! {
        #[automatically_derived]
        #[allow(unused_imports, unused_variables, unreachable_code)]
        impl #impls #device::Rebuild for #name #types #clause {
            fn rebuild(&self, moves: &mut #device::Moves<'_>) -> Self {
                #traits
                match *self { #(#arms)* }
            }
        }
    }
}

fn traits(device: &TokenStream) -> TokenStream {
    quote!(use #device::{FieldBorrowed as _, FieldCloned as _, FieldMoved as _, FieldStuck as _};)
}

/// One arm for each variant, one call for each field.
fn arms(input: &Input, binding: &TokenStream, call: impl Fn(&Field, &Ident) -> TokenStream) -> TokenStream {
    let arms = input.variants.iter().map(|variant| {
        let pattern = pattern(variant, binding);
        let calls = variant.fields.iter().zip(names()).map(|(field, name)| call(field, &name));
        quote!(#pattern => { #(#calls;)* })
    });
    quote!(#(#arms)*)
}

/// A field that is not shown may hold an optimizer.
fn skipped(field: &Field) -> TokenStream {
    let ty = &field.ty;
    quote!(visitor.skipped::<#ty>())
}

/// `(&&&field(__0)).visit(__0, visitor)`, at the field's type.
fn call(device: &TokenStream, field: &Field, name: &Ident, method: &str, with: &TokenStream) -> TokenStream {
    let span = field.ty.span().resolved_at(Span::mixed_site());
    let (name, method) = (Ident::new(&name.to_string(), span), Ident::new(method, span));
    quote_spanned!(span=> (&&&#device::field(&*#name)).#method(#name, #with))
}

fn pattern(variant: &Variant, binding: &TokenStream) -> TokenStream {
    let path = path(variant);
    let fields = variant.fields.iter().zip(names()).map(|(field, name)| {
        let member = &field.member;
        quote!(#member: #binding #name)
    });
    quote!(#path { #(#fields),* })
}

fn path(variant: &Variant) -> TokenStream {
    match &variant.name {
        Some(name) => quote!(Self::#name),
        None => quote!(Self),
    }
}

fn names() -> impl Iterator<Item = Ident> {
    (0..).map(|at| format_ident!("__{at}", span = Span::mixed_site()))
}

fn bounded(generics: &Generics, bound: &TokenStream) -> Generics {
    let mut generics = generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#bound));
    }
    generics
}
