//! The annotated function: its signature understood, its body left as raw tokens, so that half-written code still works in an editor.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Error, Generics, Result, Signature, Token, Visibility};

/// A function, a method, or a trait's method.
#[derive(Clone)]
pub struct Function {
    /// The attributes that stand below ours, and the inner ones of the body.
    pub attrs: Vec<Attribute>,
    pub vis: Visibility,
    pub default: Option<Token![default]>,
    pub sig: Signature,
    pub body: Body,
}

/// What follows the signature.
#[derive(Clone)]
pub enum Body {
    /// The braces and what is between them.
    Block(Group),
    /// A trait's method without a default body.
    Missing(Token![;]),
}

impl Function {
    /// Reads the annotated item. On anything but a function the message says what the attribute does and, for a type, what to annotate.
    pub fn read(item: TokenStream, attribute: &str, for_types: &str) -> Result<Self> {
        let Some(keyword) = other_item(item.clone()) else { return syn::parse2(item) };
        let instead = match keyword.to_string().as_str() {
            "struct" | "enum" | "union" => for_types,
            "impl" | "trait" => "annotate the methods inside, one by one",
            "mod" => "annotate the functions inside, one by one",
            _ => "this item has none",
        };
        Err(Error::new_spanned(keyword, format!("{attribute} one function: {instead}")))
    }

    /// The function's name without `r#`.
    pub fn name(&self) -> String {
        let name = self.sig.ident.to_string();
        name.strip_prefix("r#").map_or_else(|| name.clone(), str::to_owned)
    }

    /// All up to the body: attributes, visibility and signature.
    pub fn head(&self) -> TokenStream {
        let Self { attrs, vis, default, sig, .. } = self;
        let mut tokens = TokenStream::new();
        tokens.append_all(attrs.iter().map(outer));
        vis.to_tokens(&mut tokens);
        default.to_tokens(&mut tokens);
        sig.to_tokens(&mut tokens);
        tokens
    }

    /// The function's own type parameters; those of its `impl` are not visible to an attribute.
    pub fn type_parameters(&self) -> impl Iterator<Item = &Ident> {
        let Generics { params, .. } = &self.sig.generics;
        params.iter().filter_map(|parameter| match parameter {
            syn::GenericParam::Type(parameter) => Some(&parameter.ident),
            _ => None,
        })
    }

    /// Whether `name` is one of the function's own type or const parameters.
    pub fn is_parameter(&self, name: &Ident) -> bool {
        self.type_parameters().any(|parameter| parameter == name)
            || self.sig.generics.const_params().any(|parameter| parameter.ident == *name)
    }
}

impl Parse for Function {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let default = parse_default(input)?;
        let sig = input.parse()?;
        if input.peek(Token![;]) {
            return Ok(Self { attrs, vis, default, sig, body: Body::Missing(input.parse()?) });
        }
        let (inner, block) = parse_block(input)?;
        attrs.extend(inner);
        Ok(Self { attrs, vis, default, sig, body: Body::Block(block) })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.head());
        match &self.body {
            Body::Block(block) => block.to_tokens(tokens),
            Body::Missing(semicolon) => semicolon.to_tokens(tokens),
        }
    }
}

/// The keyword of an item that is no function.
fn other_item(item: TokenStream) -> Option<TokenTree> {
    const OTHERS: [&str; 10] = ["struct", "enum", "union", "impl", "trait", "mod", "static", "type", "use", "macro_rules"];
    let mut words = item.into_iter().filter(|token| matches!(token, TokenTree::Ident(_)));
    let keyword = words.find(|word| !matches!(word.to_string().as_str(), "pub" | "unsafe" | "default"))?;
    OTHERS.contains(&keyword.to_string().as_str()).then_some(keyword)
}

/// `default fn`, unless `default` begins a path.
fn parse_default(input: ParseStream) -> Result<Option<Token![default]>> {
    if input.peek(Token![default]) && !input.peek2(Token![!]) { input.parse() } else { Ok(None) }
}

/// The body, and the inner attributes (`#![…]`) that it begins with: once the body is a block inside another one, they must stand outside.
fn parse_block(input: ParseStream) -> Result<(Vec<Attribute>, Group)> {
    let block = input.step(|cursor| {
        let block = cursor.token_tree().and_then(|(token, rest)| Some((braces(token)?, rest)));
        block.ok_or_else(|| cursor.error("expected the function's body"))
    })?;
    let split = |input: ParseStream| Ok((input.call(Attribute::parse_inner)?, input.parse::<TokenStream>()?));
    let (inner, statements) = split.parse2(block.stream())?;
    let mut stripped = Group::new(Delimiter::Brace, statements);
    stripped.set_span(block.span());
    Ok((inner, stripped))
}

/// A block; what `macro_rules!` took as `$body:block` comes in invisible delimiters.
fn braces(token: TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = token else { return None };
    match group.delimiter() {
        Delimiter::Brace => Some(group),
        Delimiter::None => {
            let mut inside = group.stream().into_iter();
            inside.next().filter(|_| inside.next().is_none()).and_then(braces)
        }
        _ => None,
    }
}

fn outer(attribute: &Attribute) -> Attribute {
    Attribute { style: syn::AttrStyle::Outer, ..attribute.clone() }
}
