//! The derived type: its variants, their fields, and what `#[migrate(…)]` says of them.

use proc_macro2::TokenStream;
use syn::{Attribute, Data, DeriveInput, Error, Fields, Generics, Ident, Index, Member, Path, Result, Type};

use crate::recover::collect;
use crate::settings::{Key, Settings};
use crate::site::krate;

const ON_TYPE: &[Key] = &[Key { name: "crate", example: "crate = path::to::backstop" }];
const ON_FIELD: &[Key] = &[Key { name: "skip", example: "skip" }];

/// The derived type.
pub struct Input {
    pub krate: Path,
    pub name: Ident,
    pub generics: Generics,
    pub variants: Vec<Variant>,
}

/// A struct, or a variant of an enum.
pub struct Variant {
    /// `None` for a struct.
    pub name: Option<Ident>,
    pub fields: Vec<Field>,
}

/// A field.
pub struct Field {
    pub member: Member,
    pub ty: Type,
    pub skipped: bool,
}

impl Input {
    pub fn parse(tokens: TokenStream) -> Result<Self> {
        let input: DeriveInput = syn::parse2(tokens)?;
        let mut errors = None;
        let mut on_type = settings(&input.attrs, ON_TYPE, &mut errors);
        let krate = krate(on_type.path("crate"));
        if let Err(error) = on_type.finish(()) {
            collect(&mut errors, error);
        }
        let variants = match &input.data {
            Data::Struct(data) => vec![Variant { name: None, fields: fields(&data.fields, &mut errors) }],
            Data::Enum(data) => data
                .variants
                .iter()
                .map(|variant| Variant { name: Some(variant.ident.clone()), fields: fields(&variant.fields, &mut errors) })
                .collect(),
            Data::Union(data) => {
                let message = "`Migrate` cannot see which field of a union is in use: write a struct or an enum";
                collect(&mut errors, Error::new_spanned(data.union_token, message));
                Vec::new()
            }
        };
        if let Some(parameter) = input.generics.lifetimes().next() {
            let message = "a type that borrows cannot be moved, because it would have to own the copies: hold the values themselves (a tensor's \
                           `shallow_clone` copies no data), or pass the references as arguments of their own";
            collect(&mut errors, Error::new_spanned(&parameter.lifetime, message));
        }
        let input = Self { krate, name: input.ident, generics: input.generics, variants };
        errors.map_or(Ok(input), Err)
    }

    /// Whether a field cannot be copied, so that the type can only be lent by `&mut`.
    pub fn any_skipped(&self) -> bool {
        self.variants.iter().flat_map(|variant| &variant.fields).any(|field| field.skipped)
    }
}

fn fields(fields: &Fields, errors: &mut Option<Error>) -> Vec<Field> {
    let mut field = |(at, field): (usize, &syn::Field)| {
        let mut settings = settings(&field.attrs, ON_FIELD, errors);
        let skipped = settings.flag("skip").is_some();
        if let Err(error) = settings.finish(()) {
            collect(errors, error);
        }
        let member = field.ident.clone().map_or_else(|| Member::Unnamed(Index::from(at)), Member::Named);
        Field { member, ty: field.ty.clone(), skipped }
    };
    fields.iter().enumerate().map(&mut field).collect()
}

/// All of `#[migrate(…)]`.
fn settings(attributes: &[Attribute], known: &'static [Key], errors: &mut Option<Error>) -> Settings {
    let mut tokens = TokenStream::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("migrate")) {
        match attribute.meta.require_list() {
            Ok(list) => {
                tokens.extend(list.tokens.clone());
                tokens.extend(quote::quote!(,));
            }
            Err(error) => collect(errors, error),
        }
    }
    Settings::parse(tokens, known)
}
