//! Renders the book into `docs/book/`, and fails where a page is missing, forgotten, or links to nothing.

#[path = "links.rs"]
mod links;

use std::path::Path;
use std::process::ExitCode;

use mdbook_driver::MDBook;

fn main() -> ExitCode {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Err(error) = MDBook::load(docs).and_then(|book| book.build()) {
        eprintln!("error: the book does not build: {error:#}");
        return ExitCode::FAILURE;
    }
    let mut complaints = links::forgotten_pages(&docs.join("src"));
    complaints.extend(links::broken(&docs.join("book")));
    for complaint in &complaints {
        eprintln!("error: {complaint}");
    }
    if !complaints.is_empty() {
        return ExitCode::FAILURE;
    }
    println!("{}", docs.join("book").join("index.html").display());
    ExitCode::SUCCESS
}
