//! Every page of the book and the README as documentation, so that `cargo test` compiles and runs their snippets.

#[cfg(test)]
#[path = "links.rs"]
mod links;

/// Pages without tensors: their snippets need nothing but Rust.
macro_rules! pages {
    ($($name:ident $path:literal)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!($path)]
        mod $name {}
    )*};
}

/// Pages with tensors: tested with the feature `tch`.
macro_rules! tensor_pages {
    ($($name:ident $path:literal)*) => {$(
        #[cfg(all(doctest, feature = "tch"))]
        #[doc = include_str!($path)]
        mod $name {}
    )*};
}

pages! {
    introduction "src/introduction.md"
    getting_started "src/guide/getting-started.md"
    limits "src/guide/limits.md"
    retry_and_fallback "src/guide/retry-and-fallback.md"
    policies "src/guide/policies.md"
    testing "src/guide/testing.md"
}

tensor_pages! {
    readme "../README.md"
    device_fallback "src/guide/device-fallback.md"
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_page_with_a_snippet_is_tested() {
        let (docs, this) = (Path::new(env!("CARGO_MANIFEST_DIR")), include_str!("snippets.rs"));
        for page in super::links::files(&docs.join("src"), "md") {
            let text = fs::read_to_string(&page).expect("the page can be read");
            let name = page.strip_prefix(docs).expect("the page is in the book").display().to_string();
            assert!(!text.contains("```rust") || this.contains(&format!("\"{name}\"")), "{name} has a snippet that is not compiled");
        }
    }
}
