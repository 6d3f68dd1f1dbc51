//! Why a command stopped, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

/// What a command ends with.
pub type Done<T = ()> = Result<T, Problem>;

/// One sentence of what is wrong, and lines of what to do instead.
#[derive(Debug)]
pub struct Problem {
    what: String,
    help: Vec<String>,
}

impl Problem {
    /// A problem without advice.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: Vec::new() }
    }

    /// Adds one thing to do about it.
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// Adds the thing to try before all others.
    pub fn first(mut self, line: impl Into<String>) -> Self {
        self.help.insert(0, line.into());
        self
    }

    /// A file or folder that could not be used: `doing` is "create", "read" and the like.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("cannot {doing} {}: {error}", path.display()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for line in &self.help {
            write!(f, "\n  help: {line}")?;
        }
        Ok(())
    }
}

impl From<lexopt::Error> for Problem {
    fn from(error: lexopt::Error) -> Self {
        Self::new(error.to_string()).help("every command explains itself: cargo xtask COMMAND --help")
    }
}
