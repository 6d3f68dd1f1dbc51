//! A libtorch that is already on this machine.

use std::env;
use std::fmt;

use super::libtorch::Libtorch;
use super::{VERSION, by_hand, cache, python};
use crate::problem::Done;
use crate::workspace;

/// A libtorch and how it came to be known.
#[derive(Debug)]
pub struct Found {
    /// The folder.
    pub libtorch: Libtorch,
    /// Who named it.
    pub source: Source,
}

/// Where a libtorch was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The environment variable.
    Environment,
    /// The active Python.
    Python,
    /// An earlier run of this command.
    MadeBefore,
    /// This run.
    MadeNow,
}

/// The first of: `LIBTORCH`, a Python torch, a copy made before. `None` where a copy has to be made.
pub fn existing() -> Done<Option<Found>> {
    if let Some(folder) = workspace::user_libtorch() {
        let any_version = env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some();
        let libtorch = if any_version { Libtorch::of_any_version(&folder) } else { Libtorch::at(&folder) };
        let libtorch = libtorch.map_err(|reason| {
            by_hand(format!("LIBTORCH is set, but {reason}")).first("unset LIBTORCH, and a fitting one is looked for or made")
        })?;
        return Ok(Some(Found { libtorch, source: Source::Environment }));
    }
    if let Some(libtorch) = python_torch() {
        return Ok(Some(Found { libtorch, source: Source::Python }));
    }
    Ok(cache::made_before()?.map(|libtorch| Found { libtorch, source: Source::MadeBefore }))
}

/// The torch of the active Python, if it is the right version; another version is mentioned and left alone.
fn python_torch() -> Option<Libtorch> {
    let folder = python::Python::find().ok()?.torch()?;
    Libtorch::at(&folder).map_err(|reason| println!("not the Python torch: {reason}")).ok()
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Environment => "named by LIBTORCH".to_owned(),
            Source::Python => format!("torch {VERSION} of the active Python"),
            Source::MadeBefore => "made before".to_owned(),
            Source::MadeNow => "made now".to_owned(),
        };
        write!(f, "{} ({source})", self.libtorch)
    }
}
