//! `cargo xtask setup`: libtorch for tch, found or made, and linked where `.cargo/config.toml` expects it.
//!
//! The order: `LIBTORCH` · a Python torch of the right version · a copy made before · a copy made now from the wheels of PyPI.

mod alertmanager;
mod cache;
mod compiler;
mod disk;
mod find;
mod libtorch;
mod link;
mod make;
mod pip;
mod platform;
mod python;

use std::process::ExitCode;

use lexopt::prelude::*;

use crate::problem::{Done, Problem};
use crate::workspace;
use find::{Found, Source};
use libtorch::Libtorch;

/// The libtorch that tch 0.26 is made for.
pub const VERSION: &str = "2.13.0";

const HELP: &str = "\
Usage: cargo xtask setup [OPTIONS]

Finds or makes libtorch 2.13.0 and links .libtorch in this repository to it, so that cargo, the tests and the built
programs find it without any environment variable. It takes the first of:
  1. the folder that LIBTORCH names
  2. a torch of that version in the active Python
  3. the copy that an earlier run made
  4. a copy made now from the published wheels: needs Python 3 with pip, about 1.1 GB while it works and 0.5 GB afterwards,
     in the cache folder ($XDG_CACHE_HOME/backstop, ~/.cache/backstop, on a Mac ~/Library/Caches/backstop)
Only device fallback, the demo and their tests need it: `cargo test -p backstop` works without.

Options:
      --again          make the copy again, even where one is there
      --alertmanager   get Debian's Alertmanager for its test instead: 10 MB by apt-get, unpacked in the cache folder without root
  -h, --help           this text
";

/// Runs the command.
pub fn start(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    let mut again = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("again") => again = true,
            Long("alertmanager") => {
                println!("Alertmanager: {}", alertmanager::ensure()?.display());
                return Ok(ExitCode::SUCCESS);
            }
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    compiler::check()?;
    let found = if again { Found { libtorch: make::again()?, source: Source::MadeNow } } else { find_or_make()? };
    link_to(&found)?;
    println!("libtorch {VERSION}: {found}");
    println!("linked {}; nothing else has to be set", workspace::root().join(workspace::LINK).display());
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that libtorch is there, for the commands that need it. What an earlier run linked is kept, unless `LIBTORCH` is set.
pub fn ensure() -> Done {
    compiler::check()?;
    if workspace::user_libtorch().is_none() && link::current().is_some() {
        return Ok(());
    }
    let found = find_or_make()?;
    println!("libtorch {VERSION}: {found}");
    link_to(&found)
}

/// Gets Alertmanager for its test where that is possible; where it is not, says why, and the test says that it was skipped.
pub fn try_alertmanager() {
    if let Err(problem) = alertmanager::ensure() {
        println!("without Alertmanager: {problem}");
    }
}

fn find_or_make() -> Done<Found> {
    match find::existing()? {
        Some(found) => Ok(found),
        None => Ok(Found { libtorch: make::once()?, source: Source::MadeNow }),
    }
}

fn link_to(found: &Found) -> Done {
    link::point_at(&found.libtorch, &workspace::root().join(workspace::LINK))
}

/// The problem that no ready libtorch is to be had, and the ways out that always work.
fn by_hand(what: impl Into<String>) -> Problem {
    Problem::new(what)
        .help(format!("name a folder with libtorch {VERSION} (include/ and lib/): LIBTORCH=/path/to/libtorch cargo xtask setup"))
        .help("or do without: everything but device fallback and the demo works: cargo xtask test --bare")
}

impl std::fmt::Display for Libtorch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.folder().display().fmt(f)
    }
}
