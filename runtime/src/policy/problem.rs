//! What is wrong with a policy file or an environment variable, all of it, in one error.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One thing that is wrong, while the text it was found in is at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The bytes it is about; `None` for an environment variable or a file that cannot be read.
    pub(crate) span: Option<Range<usize>>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { span: None, message: message.into(), help: None }
    }

    pub(crate) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::new(message) }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Policies were refused: everything that is wrong with them, each with its place and what to write instead.
///
/// Printed, it shows each problem below the line that it is about.
#[derive(Clone, PartialEq, Eq)]
pub struct PolicyError {
    problems: Vec<PolicyProblem>,
    rendered: String,
    /// Whether the file could not be read, whatever it says.
    pub(super) unread: bool,
}

/// One problem of a [`PolicyError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    position: Option<(usize, usize)>,
    message: String,
    help: Option<String>,
}

impl PolicyError {
    /// `source` is the file's name and text; problems without a span are about something else.
    pub(crate) fn new(mut problems: Vec<Problem>, path: &Path, source: &str) -> Self {
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        let name = path.display().to_string();
        let mut rendered: Vec<String> = problems.iter().map(|problem| render(problem, &name, source)).collect();
        rendered.push(summary(problems.len()));
        let problems = problems.into_iter().map(|problem| PolicyProblem::new(problem, source)).collect();
        Self { problems, rendered: rendered.join("\n\n"), unread: false }
    }

    /// The file could not be read, whatever it says.
    pub(super) fn unread(problems: Vec<Problem>, path: &Path) -> Self {
        Self { unread: true, ..Self::new(problems, path, "") }
    }

    /// Everything that is wrong, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[PolicyProblem] {
        &self.problems
    }
}

impl PolicyProblem {
    fn new(problem: Problem, source: &str) -> Self {
        let position = problem.span.map(|span| position(source, span.start));
        Self { position, message: problem.message, help: problem.help }
    }

    /// The line in the policy file, from 1; `None` for an environment variable or a file that cannot be read.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.position.map(|(line, _)| line)
    }

    /// The column in characters, from 1; `None` where there is no line.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.position.map(|(_, column)| column)
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// Line and column of a byte, both from 1; the column in characters.
pub(crate) fn position(source: &str, byte: usize) -> (usize, usize) {
    let before = source.get(..byte).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

fn render(problem: &Problem, name: &str, source: &str) -> String {
    let title = Level::ERROR.primary_title(&*problem.message);
    let mut group = match &problem.span {
        None => Group::with_title(title),
        Some(span) => {
            let place = AnnotationKind::Primary.span(visible(span, source));
            title.element(Snippet::source(source).path(name).annotation(place))
        }
    };
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(&**help));
    }
    Renderer::plain().render(&[group])
}

/// The part of a span on its first line: a table's span may cover many.
fn visible(span: &Range<usize>, source: &str) -> Range<usize> {
    let start = span.start.min(source.len());
    let end = span.end.clamp(start, source.len());
    let line = source.get(start..end).and_then(|text| text.find('\n')).map_or(end, |newline| start + newline);
    start..line
}

fn summary(problems: usize) -> String {
    match problems {
        1 => "error: the policies were not loaded because of this problem".to_owned(),
        _ => format!("error: the policies were not loaded because of these {problems} problems"),
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

/// As it is printed, because `main` returns errors in this form.
impl fmt::Debug for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policies refused\n\n{}", self.rendered)
    }
}

impl Error for PolicyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_below_its_line() {
        let source = "[defaults]\ntimeout = \"0s\"\n";
        let problem = Problem::at(21..25, "`timeout` must be longer than zero").help("write \"none\" for no limit");
        let error = PolicyError::new(vec![problem], Path::new("backstop.toml"), source);
        let expected = "\
error: `timeout` must be longer than zero
 --> backstop.toml:2:11
  |
2 | timeout = \"0s\"
  |           ^^^^
  |
  = help: write \"none\" for no limit

error: the policies were not loaded because of this problem";
        assert_eq!(error.to_string(), expected);
        assert_eq!((error.problems()[0].line(), error.problems()[0].column()), (Some(2), Some(11)));
    }

    #[test]
    fn columns_count_characters_and_a_byte_beyond_the_end_is_the_end() {
        assert_eq!(position("é = 1", 3), (1, 3));
        assert_eq!(position("a\nb", 99), (2, 2));
    }

    #[test]
    fn a_problem_without_a_place_has_only_its_text() {
        let error = PolicyError::new(vec![Problem::new("cannot read the file")], Path::new("x.toml"), "");
        assert!(error.to_string().starts_with("error: cannot read the file\n"), "{error}");
        assert_eq!(error.problems()[0].line(), None);
    }
}
