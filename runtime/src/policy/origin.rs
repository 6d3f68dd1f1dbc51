//! Who set a value: what errors, reports and `explain` say about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a limit comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything: the default of this library.
    BuiltIn,
    /// The attribute's argument.
    Attribute {
        /// The source file.
        file: &'static str,
        /// The function's line in it.
        line: u32,
    },
    /// A policy file.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line of the key.
        line: usize,
    },
    /// A call of this function.
    Call(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// Set there, then multiplied by `BACKSTOP_TIMEOUT_SCALE`.
    Scaled {
        /// Who set it.
        of: Box<Origin>,
        /// The factor, as it was written.
        by: Arc<str>,
    },
    /// The earlier deadline of a caller, who had it from there.
    Caller(Box<Origin>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("default"),
            Origin::Attribute { file, line } => write!(f, "attribute at {file}:{line}"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Call(function) => write!(f, "a call of {function}"),
            Origin::Environment(name) => f.write_str(name),
            Origin::Scaled { of, by } => write!(f, "{of}, times {by} by BACKSTOP_TIMEOUT_SCALE"),
            Origin::Caller(origin) => write!(f, "caller ({origin})"),
        }
    }
}

/// A value and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T> {
    /// The value in force.
    pub value: T,
    /// Who set it.
    pub origin: Origin,
}

impl<T> Set<T> {
    /// A value that nobody but this library set.
    pub(crate) const fn built_in(value: T) -> Self {
        Self { value, origin: Origin::BuiltIn }
    }
}
