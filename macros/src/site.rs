//! The static that stands for a function at run time, and its entry in the list that the linker makes of all of them.
//!
//! ```text
//! static __BACKSTOP_SITE: ::backstop::private::Site =
//!     ::backstop::private::Site::timeout_async(concat!(module_path!(), "::fetch")).limit(…).at(file!(), line!(), column!());
//! ::backstop::private::inventory::submit! { ::backstop::private::Submitted(&__BACKSTOP_SITE) }
//! ```

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{LitStr, Path, parse_quote};

use crate::function::Function;

/// What an expansion needs to make the static.
pub struct Site<'a> {
    /// The path of the crate `backstop`.
    pub krate: &'a Path,
    /// `timeout_async` or `safe_mps_op`: the constructor in `site.rs` of the runtime.
    pub kind: &'static str,
    /// `name = "…"`.
    pub name: Option<&'a LitStr>,
    /// What the arguments say: `.limit(…).retry(…)`.
    pub settings: TokenStream,
}

impl Site<'_> {
    /// The name of the static. Items are not hygienic: the prefix keeps it apart from what the body uses.
    pub fn ident(&self) -> Ident {
        match self.kind {
            "safe_mps_op" => format_ident!("__BACKSTOP_DEVICE_SITE", span = Span::mixed_site()),
            _ => format_ident!("__BACKSTOP_SITE", span = Span::mixed_site()),
        }
    }

    /// The static and its entry in the list.
    pub fn declare(&self, function: &Function) -> TokenStream {
        let Self { krate, kind, settings, .. } = self;
        let ident = self.ident();
        let kind = Ident::new(kind, Span::mixed_site());
        let name = self.name(function);
        let position = position(function);
        quote! {
            static #ident: #krate::private::Site = #krate::private::Site::#kind(#name) #settings #position;
            #krate::private::inventory::submit! { #krate::private::Submitted(&#ident) }
        }
    }

    /// The type that stands for the static.
    pub fn stand_in(&self) -> Ident {
        format_ident!("__BackstopSite", span = Span::mixed_site())
    }

    /// That type: empty, because nobody needs a value of it.
    pub fn declare_stand_in(&self) -> TokenStream {
        let (krate, ident, stand_in) = (self.krate, self.ident(), self.stand_in());
        quote! {
            enum #stand_in {}
            impl #krate::private::Sited for #stand_in {
                #[inline]
                fn site() -> &'static #krate::private::Site { &#ident }
            }
        }
    }

    fn name(&self, function: &Function) -> TokenStream {
        match self.name {
            Some(name) => quote!(#name),
            None => {
                let end = format!("::{}", function.name());
                quote!(::core::concat!(::core::module_path!(), #end))
            }
        }
    }
}

/// Where the function's name stands: the macros take their position from the span of their own tokens.
fn position(function: &Function) -> TokenStream {
    let place = function.sig.ident.span();
    let [file, line, column] = ["file", "line", "column"].map(|what| {
        let what = Ident::new(what, place);
        quote_spanned!(place=> ::core::#what!())
    });
    quote!(.at(#file, #line, #column))
}

/// The crate's path: `crate = path`, or `::backstop`.
pub fn krate(given: Option<Path>) -> Path {
    given.unwrap_or_else(|| parse_quote!(::backstop))
}

/// The crate's path as if it stood at `place`, so that an error about what is called there is shown there. `$crate` keeps its meaning.
pub fn krate_at(krate: &Path, place: Span) -> TokenStream {
    let tokens = krate.to_token_stream().into_iter();
    tokens
        .map(|mut token| {
            if token.to_string() != "$crate" {
                token.set_span(place);
            }
            token
        })
        .collect()
}
