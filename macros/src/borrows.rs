//! What a signature says about borrowing: which parameters borrow from the caller, and from which of them the result may borrow.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{
    FnArg, GenericParam, Generics, Ident, Lifetime, ParenthesizedGenericArguments, ReceiverKind, Signature, Type, TypeFnPtr, TypeReference,
    WherePredicate,
};

/// Is shown every reference and every lifetime, but not those in the arguments of function types, which are not held.
struct Borrows<F>(F);

impl<F: FnMut(Option<&Lifetime>, TokenStream)> VisitMut for Borrows<F> {
    fn visit_receiver_kind_mut(&mut self, kind: &mut ReceiverKind) {
        if let ReceiverKind::Reference(and, lifetime, _) = kind {
            (self.0)(lifetime.as_ref(), and.to_token_stream());
        }
        visit_mut::visit_receiver_kind_mut(self, kind);
    }
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        (self.0)(reference.lifetime.as_ref(), reference.and_token.to_token_stream());
        visit_mut::visit_type_reference_mut(self, reference);
    }
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        (self.0)(Some(lifetime), lifetime.to_token_stream());
    }
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
}

/// The first thing in a parameter that borrows: a reference, or a lifetime other than `'static`.
pub fn borrow(input: &FnArg) -> Option<TokenStream> {
    let mut found = None;
    let note = |lifetime: Option<&Lifetime>, place| {
        if found.is_none() && lifetime.is_none_or(|lifetime| lifetime.ident != "static") {
            found = Some(place);
        }
    };
    Borrows(note).visit_fn_arg_mut(&mut input.clone());
    found
}

/// For each parameter, the receiver included: whether the result may borrow from it, by the rules of elision.
pub fn lenders(sig: &Signature, result: &Type) -> Vec<bool> {
    let result = Lifetimes::of(|visitor| visitor.visit_type_mut(&mut result.clone()));
    let named = with_longer(result.named, &sig.generics);
    let own = |input: &FnArg| Lifetimes::of(|visitor| visitor.visit_fn_arg_mut(&mut input.clone()));
    let receiver_lends = sig.inputs.first().is_some_and(|input| matches!(input, FnArg::Receiver(_)) && own(input).any());
    let lends = |input: &FnArg| {
        let own = own(input);
        let elided = result.elided && if receiver_lends { matches!(input, FnArg::Receiver(_)) } else { own.any() };
        elided || own.named.iter().any(|name| named.contains(name))
    };
    sig.inputs.iter().map(lends).collect()
}

/// The lifetimes of a type, without `'static`.
#[derive(Default)]
struct Lifetimes {
    named: Vec<Ident>,
    elided: bool,
}

impl Lifetimes {
    fn of(visit: impl FnOnce(&mut dyn VisitMut)) -> Self {
        let mut found = Self::default();
        visit(&mut Borrows(|lifetime: Option<&Lifetime>, _| match lifetime {
            Some(lifetime) if lifetime.ident == "static" => {}
            Some(lifetime) if lifetime.ident != "_" => found.named.push(lifetime.ident.clone()),
            _ => found.elided = true,
        }));
        found
    }

    fn any(&self) -> bool {
        self.elided || !self.named.is_empty()
    }
}

/// `names`, and the lifetimes that are bound to outlive one of them.
fn with_longer(mut names: Vec<Ident>, generics: &Generics) -> Vec<Ident> {
    let of_parameters = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Lifetime(parameter) => Some((&parameter.lifetime, &parameter.bounds)),
        _ => None,
    });
    let predicates = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let of_clause = predicates.filter_map(|predicate| match predicate {
        WherePredicate::Lifetime(predicate) => Some((&predicate.lifetime, &predicate.bounds)),
        _ => None,
    });
    let bounds: Vec<_> = of_parameters.chain(of_clause).collect();
    for _ in 0..bounds.len() {
        for (longer, shorter) in &bounds {
            if !names.contains(&longer.ident) && shorter.iter().any(|shorter| names.contains(&shorter.ident)) {
                names.push(longer.ident.clone());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use syn::{ReturnType, Signature, Type, parse_quote};

    fn lenders(sig: Signature) -> Vec<bool> {
        let result: Type = match &sig.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        };
        super::lenders(&sig, &result)
    }

    #[test]
    fn an_owned_result_borrows_from_nothing() {
        assert_eq!(lenders(parse_quote!(fn f<'a>(&self, x: &'a Tensor) -> Result<Tensor, TchError>)), [false, false]);
        assert_eq!(lenders(parse_quote!(fn f(x: &Tensor) -> &'static str)), [false]);
        assert_eq!(lenders(parse_quote!(fn f(x: &Tensor) -> Box<dyn Fn(&str) -> &str>)), [false]);
    }

    #[test]
    fn an_elided_result_borrows_from_the_receiver_or_else_from_what_is_borrowed() {
        assert_eq!(lenders(parse_quote!(fn f(&self, x: &Tensor) -> Option<&Tensor>)), [true, false]);
        assert_eq!(lenders(parse_quote!(fn f(self: Pin<&mut Self>, x: &Tensor) -> &Tensor)), [true, false]);
        assert_eq!(lenders(parse_quote!(fn f(self, x: Option<&Tensor>, n: i64) -> &Tensor)), [false, true, false]);
        assert_eq!(lenders(parse_quote!(fn f(rows: Rows<'_>) -> Row<'_>)), [true]);
    }

    #[test]
    fn a_named_result_borrows_from_what_lives_as_long() {
        assert_eq!(lenders(parse_quote!(fn f<'a>(&self, x: &'a Tensor, y: &Tensor) -> &'a Tensor)), [false, true, false]);
        let sig = parse_quote!(fn f<'a, 'b: 'a, 'c, 'd>(x: &'a T, y: &'b T, z: &'c T, w: &'d T) -> &'a T where 'c: 'b);
        assert_eq!(lenders(sig), [true, true, true, false]);
    }
}
