//! Starting: policies, reports, metrics. Optional: without it the attributes work with built-in policies.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::incident::{self, DumpReason};
#[cfg(feature = "prometheus")]
use crate::metrics::exporter::{self, ExporterError};
use crate::policy::{self, PolicyError};
#[cfg(feature = "prometheus")]
use crate::serve::{ServeError, Server};
use crate::watchdog::stack;

/// Sets Backstop up for a program; [`install`](Self::install) puts it in force.
///
/// # Examples
///
/// ```
/// let file = std::env::temp_dir().join(format!("backstop-{}.toml", std::process::id()));
/// std::fs::write(&file, "[defaults]\ntimeout = \"10s\"\n").unwrap();
///
/// let backstop = backstop::Builder::new().policies(&file).install().unwrap();
/// # drop(backstop);
/// # std::fs::remove_file(file).unwrap();
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is in force before `install`"]
pub struct Builder {
    policies: Option<PathBuf>,
    reports: Option<PathBuf>,
    #[cfg(unix)]
    dump_on_signal: Vec<i32>,
    dump_on_panic: bool,
    dump_at_exit: bool,
    without_stacks: bool,
    #[cfg(feature = "prometheus")]
    prometheus: Option<String>,
}

impl Builder {
    /// Nothing but the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads policies from a TOML file and watches it: a change is in force about a second later, a broken file keeps the last good one.
    ///
    /// `BACKSTOP_CONFIG` names another file and wins.
    pub fn policies(mut self, file: impl Into<PathBuf>) -> Self {
        self.policies = Some(file.into());
        self
    }

    /// Writes each incident as text and as JSON into this folder, which is made if it is missing; the newest hundred are kept.
    pub fn reports(mut self, folder: impl Into<PathBuf>) -> Self {
        self.reports = Some(folder.into());
        self
    }

    /// Puts the flight recorder down ([`dump`](crate::dump)) whenever this signal comes, such as `libc::SIGUSR1`, within two seconds: into the
    /// folder of [`reports`](Self::reports), or without one into the log.
    ///
    /// The signal's handler stores a number and nothing else; a handler that the program has set already is called too. A handler stays for
    /// the rest of the process.
    #[cfg(unix)]
    pub fn dump_on_signal(mut self, signal: i32) -> Self {
        self.dump_on_signal.push(signal);
        self
    }

    /// Puts the flight recorder down whenever a thread panics, at most once in ten seconds.
    ///
    /// The panic waits for that, and with it the thread: some ten milliseconds, more where native stacks take longer (0.3 s at most), and two
    /// seconds where the reporter gets no CPU or is stuck in the program's log.
    ///
    /// The panic hook that is set when [`install`](Self::install) is called runs first; the text of the panic is not in the dump.
    pub fn dump_on_panic(mut self) -> Self {
        self.dump_on_panic = true;
        self
    }

    /// Puts the flight recorder down when the [`Backstop`] is dropped, at the end of `main`.
    pub fn dump_at_exit(mut self) -> Self {
        self.dump_at_exit = true;
        self
    }

    /// Whether reports have the native stacks of threads that are stuck (the default, on Linux x86_64), and with them the state of all
    /// threads that poll guarded calls or belong to a runtime.
    ///
    /// A thread that runs is sent a real-time signal for it, one that is asleep is read from outside. `BACKSTOP_STACKS=0` switches it off from
    /// outside.
    pub fn native_stacks(mut self, wanted: bool) -> Self {
        self.without_stacks = !wanted;
        self
    }

    /// Serves `/metrics` at this address, such as `127.0.0.1:9464`, from a thread of its own; port 0 takes a free one.
    ///
    /// A port alone, such as `9464`, means that port on loopback.
    #[cfg(feature = "prometheus")]
    pub fn prometheus(mut self, address: impl Into<String>) -> Self {
        self.prometheus = Some(address.into());
        self
    }

    /// Puts everything in force, or nothing. A second call replaces what the first has set.
    ///
    /// # Errors
    ///
    /// If the policies have mistakes, the report folder cannot be made, the signal is none that can be asked for, the address is none or is
    /// taken, or another metrics recorder is installed.
    pub fn install(self) -> Result<Backstop, InstallError> {
        let policies = policy::load(self.policies.as_deref()).map_err(InstallError::Policies)?;
        if let Some(folder) = &self.reports {
            std::fs::create_dir_all(folder).map_err(|source| InstallError::Reports { folder: folder.clone(), source })?;
        }
        #[cfg(unix)]
        for signal in self.dump_on_signal {
            incident::demand::on_signal(signal).map_err(|source| InstallError::Signal { signal, source })?;
        }
        #[cfg(feature = "prometheus")]
        let server = match &self.prometheus {
            Some(address) => Some(serve(address, &policies)?),
            None => None,
        };
        if let Some(folder) = self.reports {
            incident::store_in(folder);
        }
        if self.dump_on_panic {
            incident::demand::on_panic();
        }
        stack::want(!self.without_stacks);
        policy::install(policies);
        incident::start();
        Ok(Backstop {
            dump_at_exit: self.dump_at_exit,
            #[cfg(feature = "prometheus")]
            server,
        })
    }
}

/// Binds first: a taken port is the likelier mistake, and a recorder cannot be taken back.
#[cfg(feature = "prometheus")]
fn serve(address: &str, policies: &policy::PolicySet) -> Result<Server, InstallError> {
    let on_loopback = || address.parse().ok().map(|port: u16| (std::net::Ipv4Addr::LOCALHOST, port).into());
    let parsed = address.parse().ok().or_else(on_loopback).ok_or_else(|| InstallError::Address(address.to_owned()))?;
    let server = Server::start(parsed).map_err(InstallError::Serve)?;
    exporter::install(policies.longest_call()).map_err(InstallError::Exporter)?;
    Ok(server)
}

/// How long the end of a program waits for its last report.
const PATIENCE: Duration = Duration::from_secs(2);

/// Backstop at work. Dropping it waits a moment until all incidents are reported, and stops the metrics server; guards and policies stay in
/// force.
#[derive(Debug)]
#[must_use = "dropping it stops the metrics server"]
pub struct Backstop {
    dump_at_exit: bool,
    #[cfg(feature = "prometheus")]
    server: Option<Server>,
}

impl Backstop {
    /// Where `/metrics` is served; `None` without [`Builder::prometheus`].
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn metrics_address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref().map(Server::address)
    }

    /// Waits until every incident so far is reported, stored and delivered to its channels; `false` when `timeout` came first.
    pub fn flush(&self, timeout: Duration) -> bool {
        incident::flush(timeout)
    }
}

impl Drop for Backstop {
    fn drop(&mut self) {
        self.flush(PATIENCE);
        if self.dump_at_exit {
            incident::demand::demand(DumpReason::Exit, PATIENCE);
        }
    }
}

/// Why nothing was installed.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstallError {
    /// The policy file or an environment variable has mistakes.
    Policies(PolicyError),
    /// The folder for reports cannot be made.
    Reports {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The signal for dumps cannot be asked for.
    #[cfg(unix)]
    Signal {
        /// Its number.
        signal: i32,
        /// Why.
        source: io::Error,
    },
    /// The address for metrics is none.
    #[cfg(feature = "prometheus")]
    Address(String),
    /// The server for metrics cannot start.
    #[cfg(feature = "prometheus")]
    Serve(ServeError),
    /// Another metrics recorder is installed.
    #[cfg(feature = "prometheus")]
    Exporter(ExporterError),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::Policies(error) => error.fmt(f),
            InstallError::Reports { folder, source } => write!(f, "cannot make the folder for reports `{}`: {source}", folder.display()),
            #[cfg(unix)]
            InstallError::Signal { signal, source } => write!(f, "cannot make dumps on signal {signal}: {source}"),
            #[cfg(feature = "prometheus")]
            InstallError::Address(address) => {
                write!(f, "`{address}` is no address for metrics; write one with a port, such as `127.0.0.1:9464`, or a port alone")
            }
            #[cfg(feature = "prometheus")]
            InstallError::Serve(error) => error.fmt(f),
            #[cfg(feature = "prometheus")]
            InstallError::Exporter(error) => error.fmt(f),
        }
    }
}

impl Error for InstallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            InstallError::Reports { source, .. } => Some(source),
            #[cfg(unix)]
            InstallError::Signal { source, .. } => Some(source),
            InstallError::Policies(error) => error.source(),
            #[cfg(feature = "prometheus")]
            InstallError::Serve(error) => error.source(),
            #[cfg(feature = "prometheus")]
            InstallError::Address(_) | InstallError::Exporter(_) => None,
        }
    }
}
