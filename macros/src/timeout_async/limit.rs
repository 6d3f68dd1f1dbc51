//! A limit: a literal becomes a `Duration` here, any other const expression in the static.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Block, Error, Expr, ExprBinary, ExprBlock, ExprGroup, ExprIf, ExprLit, ExprMatch, ExprParen, ExprUnary, Ident, Lit, Path, Result, Stmt,
    UnOp,
};

use crate::settings::literal;
use crate::site::krate_at;

/// The `Duration` that `key = value` means; `key` ends in `secs` or `millis`.
pub fn duration(key: &str, value: &Expr, krate: &Path) -> Result<TokenStream> {
    let unit = if key.ends_with("millis") { Unit::Millis } else { Unit::Secs };
    match value {
        Expr::Unary(negative) if matches!(negative.op, UnOp::Neg(_)) && literal(&negative.expr).is_some() => Err(not_positive(key, value)),
        _ => match literal(value) {
            Some(literal) => from_literal(key, unit, literal),
            None => Ok(from_expression(unit, value, krate)),
        },
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Secs,
    Millis,
}

fn from_literal(key: &str, unit: Unit, literal: &Lit) -> Result<TokenStream> {
    let duration = match (unit, literal) {
        (Unit::Secs, Lit::Int(number)) => number.base10_parse().map(Duration::from_secs).map_err(|_| too_long(key, literal))?,
        (Unit::Millis, Lit::Int(number)) => number.base10_parse().map(Duration::from_millis).map_err(|_| too_long(key, literal))?,
        (Unit::Secs, Lit::Float(number)) => Duration::try_from_secs_f64(number.base10_parse()?).map_err(|_| too_long(key, literal))?,
        (Unit::Millis, Lit::Float(_)) => return Err(Error::new_spanned(literal, format!("`{key}` takes a whole number: `{key} = 250`"))),
        _ => return Err(Error::new_spanned(literal, wrong_kind(key, unit))),
    };
    if duration.is_zero() {
        return Err(not_positive(key, literal));
    }
    let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
    Ok(quote!(::core::time::Duration::new(#secs, #nanos)))
}

fn wrong_kind(key: &str, unit: Unit) -> String {
    match unit {
        Unit::Secs => format!("`{key}` takes seconds, as a number or a const expression: `{key} = 30`, `{key} = 0.5`, `{key} = LIMIT`"),
        Unit::Millis => format!("`{key}` takes milliseconds, as a whole number or a const expression: `{key} = 250`, `{key} = LIMIT`"),
    }
}

fn not_positive(key: &str, place: impl ToTokens) -> Error {
    Error::new_spanned(place, format!("`{key}` must be greater than zero; to have no limit, say `timeout = \"none\"` in the policy file"))
}

fn too_long(key: &str, place: impl ToTokens) -> Error {
    Error::new_spanned(place, format!("`{key}` is longer than a `Duration` can hold"))
}

/// `Amount(LIMIT).secs()`: the type of a constant is not known here, so the runtime has a method for each numeric type and for
/// `Duration`. Arithmetic on bare literals has no type of its own and gets one.
fn from_expression(unit: Unit, value: &Expr, krate: &Path) -> TokenStream {
    let place = value.span();
    let method = match unit {
        Unit::Secs => Ident::new("secs", place),
        Unit::Millis => Ident::new("millis", place),
    };
    let ty = literal_type(value).map(|ty| Ident::new(ty, place)).map(|ty| quote!(::<#ty>));
    let krate = krate_at(krate, place);
    quote_spanned!(place=> #krate::private::Amount #ty(#value).#method())
}

/// The type for an expression of literals without a suffix, whatever decides between them; `None` where something with a type is among them.
fn literal_type(value: &Expr) -> Option<&'static str> {
    let wider = |one, other| if one == "f64" { one } else { other };
    let both = |one: &Expr, other: &Expr| Some(wider(literal_type(one)?, literal_type(other)?));
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => Some("u64"),
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) if number.suffix().is_empty() => Some("f64"),
        Expr::Paren(ExprParen { expr, .. }) | Expr::Group(ExprGroup { expr, .. }) | Expr::Unary(ExprUnary { expr, .. }) => {
            literal_type(expr)
        }
        Expr::Binary(ExprBinary { left, right, .. }) => both(left, right),
        Expr::Block(ExprBlock { block, .. }) => literal_type(tail(block)?),
        Expr::If(ExprIf { then_branch, else_branch: Some((_, otherwise)), .. }) => both(tail(then_branch)?, otherwise),
        Expr::Match(ExprMatch { arms, .. }) => arms.iter().try_fold("u64", |ty, arm| Some(wider(ty, literal_type(&arm.body)?))),
        _ => None,
    }
}

/// The value of a block.
fn tail(block: &Block) -> Option<&Expr> {
    match block.stmts.last()? {
        Stmt::Expr(value, None) => Some(value),
        _ => None,
    }
}
