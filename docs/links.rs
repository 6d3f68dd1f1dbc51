//! Reads the rendered book as a reader clicks through it: does every link lead somewhere?

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Pages in `source` that SUMMARY.md does not list: nobody would find them.
pub fn forgotten_pages(source: &Path) -> Vec<String> {
    let summary = fs::read_to_string(source.join("SUMMARY.md")).unwrap_or_default();
    let pages = files(source, "md").into_iter().filter_map(|page| Some(page.strip_prefix(source).ok()?.to_path_buf()));
    pages
        .filter(|page| page != Path::new("SUMMARY.md") && !summary.contains(&format!("({})", page.display())))
        .map(|page| format!("docs/src/{} is not listed in docs/src/SUMMARY.md", page.display()))
        .collect()
}

/// Links between the pages in `book` whose file or anchor does not exist, and includes that did not resolve.
pub fn broken(book: &Path) -> Vec<String> {
    let pages: HashMap<PathBuf, String> =
        files(book, "html").into_iter().filter_map(|page| Some((page.clone(), fs::read_to_string(page).ok()?))).collect();
    let mut complaints = Vec::new();
    // 404.html is written for the root of a web server; print.html repeats all pages.
    let checked = pages.iter().filter(|(page, _)| !page.ends_with("404.html") && !page.ends_with("print.html"));
    for (page, html) in checked {
        let name = page.strip_prefix(book).unwrap_or(page).display();
        if html.contains("{{#") {
            complaints.push(format!("{name}: an include was not resolved"));
        }
        let broken = attribute(html, "href").filter(|link| leads_nowhere(link, page, &pages));
        complaints.extend(broken.map(|link| format!("{name}: the link `{link}` leads nowhere")));
    }
    complaints.sort();
    complaints
}

fn leads_nowhere(link: &str, page: &Path, pages: &HashMap<PathBuf, String>) -> bool {
    if link.contains("://") || link.starts_with("mailto:") || link.is_empty() {
        return false;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_path_buf() } else { normal(&page.parent().unwrap_or(page).join(file)) };
    match pages.get(&target) {
        Some(html) => !anchor.is_empty() && !attribute(html, "id").any(|id| id == anchor),
        None => !target.exists(),
    }
}

/// The values of an attribute, as the renderer writes them: always in double quotes.
fn attribute<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    html.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>().into_iter()
}

/// The path without `..`, so that it can be looked up.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// All files with this extension, in subfolders too.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|this| this == extension) {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{broken, forgotten_pages};

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("backstop-book-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("guide")).expect("the temporary folder can be written");
        folder
    }

    #[test]
    fn links_to_pages_and_anchors_that_exist_pass() {
        let book = scratch("whole");
        fs::write(book.join("index.html"), r##"<a href="guide/one.html#here">x</a> <a href="https://example.org">y</a>"##)
            .expect("written");
        fs::write(book.join("guide/one.html"), r##"<h1 id="here"> <a href="../index.html">up</a> <a href="#here">"##).expect("written");
        assert_eq!(broken(&book), Vec::<String>::new());
    }

    #[test]
    fn a_missing_page_and_a_missing_anchor_are_told() {
        let book = scratch("broken");
        fs::write(book.join("index.html"), r#"<a href="guide/two.html">x</a> <a href="guide/one.html#gone">y</a>"#).expect("written");
        fs::write(book.join("guide/one.html"), "<h1 id=\"here\">").expect("written");
        let expected = ["index.html: the link `guide/one.html#gone` leads nowhere", "index.html: the link `guide/two.html` leads nowhere"];
        assert_eq!(broken(&book), expected);
    }

    #[test]
    fn a_page_that_the_summary_forgets_is_told() {
        let source = scratch("forgotten");
        fs::write(source.join("SUMMARY.md"), "- [One](guide/one.md)\n").expect("written");
        fs::write(source.join("guide/one.md"), "").expect("written");
        fs::write(source.join("guide/two.md"), "").expect("written");
        assert_eq!(forgotten_pages(&source), ["docs/src/guide/two.md is not listed in docs/src/SUMMARY.md"]);
    }
}
