//! The list of commands: names, one line each, where they start.

use std::process::ExitCode;

use crate::nearest::nearest;
use crate::problem::{Done, Problem};
use crate::{bench, demo, setup, soak, stacks, sweep, test};

/// One command of `cargo xtask`.
pub struct Command {
    name: &'static str,
    what: &'static str,
    start: fn(lexopt::Parser) -> Done<ExitCode>,
}

const ALL: [Command; 7] = [
    Command { name: "setup", what: "find or make libtorch, so that no environment variable has to be set", start: setup::start },
    Command { name: "demo", what: "run the trading system with injected trouble and watch it survive", start: demo::start },
    Command { name: "test", what: "everything that must pass: format, lints, tests, docs, the book", start: test::start },
    Command { name: "sweep", what: "fail every operator on the simulated device once; nothing may come out wrong", start: sweep::start },
    Command { name: "stacks", what: "capture the stacks of threads that are stuck in every way, many times", start: stacks::start },
    Command { name: "soak", what: "minutes of everything at once; nothing may be left behind", start: soak::start },
    Command { name: "bench", what: "what a guarded call costs", start: bench::start },
];

impl Command {
    /// Runs the command with the arguments that follow its name.
    pub fn start(&self, arguments: lexopt::Parser) -> Done<ExitCode> {
        (self.start)(arguments)
    }
}

/// The command of that name.
pub fn named(name: &str) -> Done<&'static Command> {
    ALL.iter().find(|command| command.name == name).ok_or_else(|| unknown(name))
}

/// What `cargo xtask` prints without a command.
pub fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND [OPTIONS]\n\nCommands:\n");
    for Command { name, what, .. } in &ALL {
        text += &format!("  {name:<7} {what}\n");
    }
    text + "\nEvery command explains itself with --help.\n"
}

fn unknown(name: &str) -> Problem {
    let names = || ALL.iter().map(|command| command.name);
    let problem = Problem::new(format!("there is no command `{name}`"));
    match nearest(name, names()) {
        Some(near) => problem.help(format!("did you mean `cargo xtask {near}`?")),
        None => problem.help(format!("the commands are {}", names().collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::{named, overview};

    #[test]
    fn an_unknown_command_suggests_the_nearest() {
        let problem = named("tets").err().expect("`tets` is no command").to_string();
        assert!(problem.contains("did you mean `cargo xtask test`?"), "{problem}");
    }

    #[test]
    fn a_command_that_is_like_none_is_shown_all() {
        let problem = named("publish").err().expect("`publish` is no command").to_string();
        assert!(problem.contains("setup, demo, test, sweep, stacks, soak, bench"), "{problem}");
    }

    #[test]
    fn the_overview_names_every_command() {
        for name in ["setup", "demo", "test", "sweep", "stacks", "soak", "bench"] {
            assert!(overview().contains(&format!("\n  {name}")), "{name}");
        }
    }
}
