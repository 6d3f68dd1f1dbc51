//! The commands of this workspace: `cargo xtask setup | demo | test | sweep | stacks | soak | bench`.

mod bench;
mod command;
mod demo;
mod nearest;
mod problem;
mod progress;
mod setup;
mod soak;
mod stacks;
mod sweep;
mod test;
mod workspace;

use std::process::ExitCode;

use lexopt::prelude::*;

use problem::Done;

fn main() -> ExitCode {
    match run(lexopt::Parser::from_env()) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: lexopt::Parser) -> Done<ExitCode> {
    match arguments.next()? {
        None | Some(Short('h') | Long("help")) => {
            print!("{}", command::overview());
            Ok(ExitCode::SUCCESS)
        }
        Some(Value(name)) => command::named(&name.to_string_lossy())?.start(arguments),
        Some(other) => Err(other.unexpected().into()),
    }
}
