//! How far something is: a bar on a terminal, a few lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

const WIDTH: usize = 30;
/// Between two lines where the output is no terminal.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The progress of work that knows its percentage.
pub struct Bar {
    what: &'static str,
    terminal: bool,
    shown: Option<usize>,
}

impl Bar {
    /// A bar at the start of its work.
    pub fn new(what: &'static str) -> Self {
        Self { what, terminal: io::stdout().is_terminal(), shown: None }
    }

    /// Shows that `percent` is done: each percent on a terminal, each quarter elsewhere.
    pub fn show(&mut self, percent: usize) {
        let step = if self.terminal { percent } else { percent / 25 * 25 };
        if self.shown == Some(step) {
            return;
        }
        self.shown = Some(step);
        self.print(step);
    }

    fn print(&self, percent: usize) {
        let mut out = io::stdout().lock();
        // A closed pipe must not stop the work that the bar is about.
        let _ = if self.terminal {
            let end = if percent == 100 { "\n" } else { "" };
            write!(out, "\r  {} [{}] {percent:>3} %{end}", self.what, bar(percent))
        } else {
            writeln!(out, "  {}: {percent} %", self.what)
        };
        let _ = out.flush();
    }
}

fn bar(percent: usize) -> String {
    let full = percent.min(100) * WIDTH / 100;
    format!("{}{}", "#".repeat(full), "-".repeat(WIDTH - full))
}

/// Runs `work`; while it lasts and the output is no terminal, says so now and then.
pub fn with_signs_of_life<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if io::stdout().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (finished, watched) = mpsc::channel::<()>();
        scope.spawn(move || {
            let began = Instant::now();
            while watched.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
                println!("  {what}: {} s", began.elapsed().as_secs());
            }
        });
        let result = work();
        drop(finished);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_fills_from_left_to_right() {
        assert_eq!(bar(0), "-".repeat(30));
        assert_eq!(bar(50), format!("{}{}", "#".repeat(15), "-".repeat(15)));
        assert_eq!(bar(100), "#".repeat(30));
    }
}
