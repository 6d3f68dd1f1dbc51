//! Why the server could not start.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// The server for `/metrics` could not start.
#[derive(Debug)]
pub struct ServeError {
    reason: Reason,
    source: io::Error,
}

#[derive(Debug)]
enum Reason {
    Bind(SocketAddr),
    Thread,
}

impl ServeError {
    pub(super) fn bind(address: SocketAddr, source: io::Error) -> Self {
        Self { reason: Reason::Bind(address), source }
    }

    pub(super) fn thread(source: io::Error) -> Self {
        Self { reason: Reason::Thread, source }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Bind(address) if self.source.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "cannot serve metrics on {address}: the port is taken; choose another one in `Builder::prometheus`, or port 0 for any free one"
            ),
            Reason::Bind(address) => write!(f, "cannot serve metrics on {address}: {}", self.source),
            Reason::Thread => write!(f, "cannot start the thread that serves metrics: {}", self.source),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
