//! The terminal: log lines scroll, one status line stays below them.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Standard error with a status line. Clones share it.
#[derive(Clone, Debug)]
pub struct Screen {
    live: bool,
    colours: bool,
    status: Arc<Mutex<String>>,
}

impl Screen {
    /// With a status line if standard error is a terminal and `live` is wanted.
    #[must_use]
    pub fn new(live: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none();
        Self { live: live && terminal, colours, status: Arc::default() }
    }

    /// Whether there is a status line.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Makes this the program's log: coloured on a terminal, with time stamps. Without RUST_LOG it shows everything from `level` up.
    pub fn log(&self, level: &str) {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(self.colours).with_writer(self.clone());
        // A test may have set a subscriber already; then the log goes there.
        let _ = log.try_init();
    }

    /// Shows a new status; nothing without a status line.
    pub fn show(&self, status: String) {
        if !self.live {
            return;
        }
        let mut shown = self.lock();
        *shown = status;
        // A terminal that has gone away is no reason to stop trading.
        let _ = write!(io::stderr(), "\r\x1b[2K{shown}").and_then(|()| io::stderr().flush());
    }

    /// Prints lines above the status line; yellow on a terminal.
    pub fn block(&self, lines: &str) {
        let lines = if self.colours { format!("\x1b[33m{lines}\x1b[0m") } else { lines.to_owned() };
        // As above.
        let _ = self.make_writer().write_all(lines.as_bytes());
    }

    /// Takes the status line away.
    pub fn clear(&self) {
        self.show(String::new());
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Above<'a>;

    fn make_writer(&'a self) -> Above<'a> {
        Above { live: self.live, status: self.lock() }
    }
}

/// Writes above the status line.
#[derive(Debug)]
pub struct Above<'a> {
    live: bool,
    status: MutexGuard<'a, String>,
}

impl Write for Above<'_> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut terminal = io::stderr().lock();
        if self.live {
            terminal.write_all(b"\r\x1b[2K")?;
        }
        terminal.write_all(lines)?;
        if self.live {
            terminal.write_all(self.status.as_bytes())?;
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
