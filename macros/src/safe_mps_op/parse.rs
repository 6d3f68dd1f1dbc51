//! The arguments of `#[safe_mps_op]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, LitStr, Path, Result};

use crate::settings::{Key, Settings};
use crate::site::krate;

const KEYS: &[Key] = &[
    Key { name: "name", example: "name = \"agent.loss\"" },
    Key { name: "result", example: "result = \"cpu\"" },
    Key { name: "snapshot", example: "snapshot" },
    Key { name: "crate", example: "crate = path::to::backstop" },
];

/// What the user wrote.
pub struct Arguments {
    pub krate: Path,
    pub name: Option<LitStr>,
    pub snapshot: Option<Ident>,
    /// Calls on the static: `.result_on_cpu().snapshot()`.
    pub settings: TokenStream,
}

impl Arguments {
    pub fn parse(tokens: TokenStream) -> Result<Self> {
        let mut list = Settings::parse(tokens, KEYS);
        let krate = krate(list.path("crate"));
        let result = result(&mut list);
        let snapshot = list.flag("snapshot");
        let copies = snapshot.as_ref().map(|_| quote!(.snapshot()));
        let arguments = Self { krate, name: list.text("name"), snapshot, settings: quote!(#result #copies) };
        list.finish(arguments)
    }
}

/// Where the tensors of the result go after a fallback.
fn result(list: &mut Settings) -> Option<TokenStream> {
    let place = list.text("result")?;
    match place.value().as_str() {
        "origin" => None,
        "cpu" => Some(quote!(.result_on_cpu())),
        _ => list.refuse(
            &place,
            "`result` is `\"origin\"` (tensors go back to the device that they came from, the default) or `\"cpu\"` (they stay on the CPU)",
        ),
    }
}
