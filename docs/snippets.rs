//! Every page of the book and the README as documentation, so that `cargo test` compiles and runs their snippets.

#[cfg(test)]
#[path = "links.rs"]
mod links;
