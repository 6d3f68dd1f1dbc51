//! What goes into a program and comes out of it while it runs, without waiting for it.
//!
//! A program that does not read, and one that leaves another behind with its standard error open, must keep neither a queue nor a thread.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin};

use super::system::never_waits;

/// So much of what the program complains about is quoted.
const QUOTED: usize = 512;
/// So many parts are moved at once: a program that never falls silent must not keep the queue.
const PARTS: usize = 64;

/// The ends of a program's standard input and error; `None` once that is closed.
pub(super) struct Pipes {
    input: Option<ChildStdin>,
    report: Vec<u8>,
    written: usize,
    errors: Option<ChildStderr>,
    said: Vec<u8>,
}

impl Pipes {
    /// The report goes into the program. A pipe that would wait is not used.
    pub(super) fn of(child: &mut Child, report: String) -> Self {
        let input = child.stdin.take().filter(never_waits);
        let errors = child.stderr.take().filter(never_waits);
        Self { input, report: report.into_bytes(), written: 0, errors, said: Vec::new() }
    }

    /// Moves what can be moved now.
    pub(super) fn exchange(&mut self) {
        let closed = (0..PARTS).try_for_each(|_| self.write());
        if closed == Err(End::Closed) {
            self.input = None;
        }
        let closed = (0..PARTS).try_for_each(|_| self.read());
        if closed == Err(End::Closed) {
            self.errors = None;
        }
    }

    /// The start of what the program complains about, and no more than is there.
    pub(super) fn said(&mut self) -> String {
        self.exchange();
        String::from_utf8_lossy(&self.said).trim().to_owned()
    }

    /// A program that does not want the report may close its input.
    fn write(&mut self) -> Result<(), End> {
        let input = self.input.as_mut().ok_or(End::Closed)?;
        match moved(input.write(&self.report[self.written..])) {
            Ok(count) => self.written += count,
            Err(end) => return Err(end),
        }
        Ok(())
    }

    /// Beyond what is quoted it is read all the same: a full pipe would stop the program.
    fn read(&mut self) -> Result<(), End> {
        let mut part = [0; 1024];
        let count = moved(self.errors.as_mut().ok_or(End::Closed)?.read(&mut part))?;
        let quoted = count.min(QUOTED - self.said.len());
        self.said.extend_from_slice(&part[..quoted]);
        Ok(())
    }
}

/// Why nothing more is moved.
#[derive(PartialEq)]
enum End {
    /// There is no room, or nothing there.
    ForNow,
    /// Everything has been moved, or the other end is closed.
    Closed,
}

fn moved(result: std::io::Result<usize>) -> Result<usize, End> {
    match result {
        Ok(0) => Err(End::Closed),
        Ok(count) => Ok(count),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => Err(End::ForNow),
            ErrorKind::Interrupted => Ok(0),
            _ => Err(End::Closed),
        },
    }
}
