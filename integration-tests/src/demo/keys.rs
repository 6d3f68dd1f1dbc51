//! Any key shows the running calls: also while every worker is blocked, for a thread of its own reads it and prints.

use std::io::{self, IsTerminal, Read};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use super::screen::Screen;

/// How the terminal was before.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal gives single keys until this is dropped.
#[derive(Debug)]
pub(super) struct Keys(());

impl Keys {
    /// Shows the running calls at each key from now on; `None` where nobody can press one: standard input is no terminal, or another
    /// program has it, which would stop this one.
    pub(super) fn listen(screen: Screen) -> Option<Self> {
        let stdin = io::stdin();
        if !screen.is_live() || !stdin.is_terminal() || tcgetpgrp(&stdin).ok()? != getpgrp() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        thread::Builder::new().name("keys".into()).spawn(move || show(&screen)).ok()?;
        let mut keys = before.clone();
        // Ctrl-C goes on being a signal.
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &keys).ok()?;
        *lock() = Some(before);
        Some(Self(()))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was. Whoever ends the process without dropping its [`Keys`] calls this.
pub(super) fn restore() {
    if let Some(before) = lock().take() {
        // A terminal that has gone away needs no restoring.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A key with an arrow on it sends several bytes at once.
fn show(screen: &Screen) {
    let mut bytes = [0; 64];
    while io::stdin().read(&mut bytes).is_ok_and(|count| count > 0) {
        screen.block(&calls());
    }
}

fn calls() -> String {
    let tree = backstop::snapshot();
    let lines = tree.to_string();
    let lines = if lines.is_empty() { "none\n" } else { &lines };
    lines.lines().fold("  | Running calls\n".to_owned(), |text, line| format!("{text}  |   {line}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_no_key_is_read() {
        assert!(Keys::listen(Screen::new(false)).is_none());
    }

    #[test]
    fn no_running_call_is_said_in_words() {
        assert!(calls().starts_with("  | Running calls\n  |   "));
    }
}
