//! The sentence that libtorch raised, out of what Rust, tch and C++ put around it.

use std::borrow::Cow;

/// The longest head that anybody looks at, in bytes: libtorch's longest, a list of backends, says everything in its first line.
const LONGEST: usize = 8 * 1024;

/// How much of the head a report shows, in characters.
const LONGEST_REASON: usize = 300;

/// How many lines of where it was raised a report shows, and how much of each, in characters.
const TRACE: usize = 9;
const LONGEST_FRAME: usize = 160;

/// A text without its wrapping, frames and raise site.
pub(super) struct Head {
    text: String,
    /// The raise site and the frames, for people only.
    raised: String,
    /// Where the text goes on behind a name that tch put before it (`layer.0: text`); 0 without one.
    named: usize,
}

impl Head {
    /// The head of a text in any form; `None` for a Rust panic that cannot be a torch error.
    pub(super) fn of(text: &str) -> Option<Self> {
        Self::marked(text).or_else(|| (!is_rusts_own(text)).then(|| Self::new(shorten(text))))
    }

    /// The head of a text that says that it is a torch error, by `Torch("…")` or by tch's `Internal torch error: …`.
    pub(super) fn marked(text: &str) -> Option<Self> {
        let shown = || text.split_once("Internal torch error: ").map(|(_, inner)| Cow::Borrowed(shorten(inner)));
        debugged(text).map(Cow::Owned).or_else(shown).map(|inner| Self::new(&inner))
    }

    fn new(inner: &str) -> Self {
        let (head, raised) = cut(inner);
        let text = scripted(head).trim().to_owned();
        let named = name_length(&text);
        Self { text, raised: raised.to_owned(), named }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the text begins so, behind a name too.
    pub(super) fn starts(&self, prefix: &str) -> bool {
        self.text.starts_with(prefix) || self.text[self.named..].starts_with(prefix)
    }

    pub(super) fn starts_with_any(&self, prefixes: &[&str]) -> bool {
        prefixes.iter().any(|prefix| self.starts(prefix))
    }

    pub(super) fn contains(&self, part: &str) -> bool {
        self.text.contains(part)
    }

    pub(super) fn contains_any(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.text.contains(part))
    }

    /// What stands between two parts of the text.
    pub(super) fn between(&self, before: &str, after: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(before)?;
        rest.split_once(after).map(|(found, _)| found)
    }

    /// What follows this prefix, up to the end of the line.
    pub(super) fn line_after(&self, prefix: &str) -> Option<&str> {
        let rest = self.text.strip_prefix(prefix).or_else(|| self.text[self.named..].strip_prefix(prefix))?;
        rest.lines().next()
    }

    /// The first line, shortened for people.
    pub(super) fn reason(&self) -> String {
        let line = self.text.lines().next().unwrap_or_default().trim_end();
        match line.char_indices().nth(LONGEST_REASON) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_owned(),
        }
    }
}

impl Head {
    /// Where it was raised, and the innermost frames without addresses and libraries; empty where the text does not say.
    pub(super) fn trace(&self) -> String {
        let lines = self.raised.lines().map(str::trim).filter(|line| !line.is_empty()).take(TRACE);
        lines.map(frame).collect::<Vec<_>>().join("\n")
    }
}

/// `frame #0: symbol + 0x9d (0x7f… in library)` without what only a debugger could use.
fn frame(line: &str) -> &str {
    let line = line.split(" + 0x").next().unwrap_or(line);
    line.char_indices().nth(LONGEST_FRAME).map_or(line, |(end, _)| &line[..end])
}

/// The text of `Torch("…")`, unescaped, as `Debug` wrote it.
fn debugged(text: &str) -> Option<String> {
    // The innermost: programs have variants of that name too, `Torch(Torch("…"))`.
    let mut opened = text.match_indices("Torch(").map(|(at, opening)| text[at + opening.len()..].trim_start());
    let quoted = opened.find_map(|rest| rest.strip_prefix('"'))?;
    let mut inner = String::new();
    let mut chars = quoted.chars();
    while let Some(next) = chars.next() {
        match next {
            '"' => break,
            '\\' => inner.extend(unescape(&mut chars)),
            other => inner.push(other),
        }
        if inner.len() >= LONGEST {
            break;
        }
    }
    Some(inner)
}

/// The character behind a backslash; the escapes are those of `char::escape_debug`.
fn unescape(chars: &mut std::str::Chars) -> Option<char> {
    match chars.next()? {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        '0' => Some('\0'),
        'u' => {
            let digits: String = chars.by_ref().take(8).skip_while(|c| *c == '{').take_while(|c| *c != '}').collect();
            u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
        }
        other => Some(other),
    }
}

/// The head, and the raise site with the frames: either may come without the other.
fn cut(text: &str) -> (&str, &str) {
    text.split_at(frames(text, "\n").unwrap_or(text.len()))
}

/// A text in any form without its frames, also where `Debug` has escaped them.
pub(crate) fn without_frames(text: &str) -> &str {
    let end = ["\n", "\\n"].iter().filter_map(|newline| frames(text, newline)).min().unwrap_or(text.len());
    text[..end].trim()
}

/// Where the raise site or the first frame begins a line, which may be indented.
fn frames(text: &str, newline: &str) -> Option<usize> {
    let begins = |line: &str| ["Exception raised from ", "frame #"].iter().any(|mark| line.starts_with(mark));
    let mut lines = text.match_indices(newline).map(|(at, newline)| (at, text[at + newline.len()..].trim_start_matches([' ', '\t'])));
    lines.find(|(_, line)| begins(line)).map(|(at, _)| at)
}

/// What failed inside a TorchScript module, without the script's own traceback.
fn scripted(text: &str) -> &str {
    match text.rsplit_once("\nRuntimeError: ") {
        Some((_, cause)) if text.contains("failed in the TorchScript interpreter") => cause,
        _ => text,
    }
}

fn shorten(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Panics that Rust words itself: what follows is some other error, or the program's own text.
fn is_rusts_own(text: &str) -> bool {
    ["called `", "not implemented: ", "not yet implemented: ", "assertion "].iter().any(|opening| text.starts_with(opening))
}

/// The length of a variable's name and `: `, which tch puts before a text.
fn name_length(text: &str) -> usize {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._-/".contains(c));
    match text.split_once(": ") {
        Some((name, _)) if is_name(name) => name.len() + 2,
        _ => 0,
    }
}
