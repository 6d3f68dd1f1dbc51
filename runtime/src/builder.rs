//! Starting: policies, reports, metrics. Optional: without it the attributes work with built-in policies.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::incident;
use crate::policy::{self, PolicyError};
#[cfg(feature = "prometheus")]
use crate::{metrics, serve};

/// Sets Backstop up for a program; [`install`](Self::install) puts it in force.
///
/// # Examples
///
/// ```
/// let backstop = backstop::Builder::new()
///     .policies_text("inline.toml", "[defaults]\ntimeout = \"10s\"")
///     .install()
///     .unwrap();
/// # drop(backstop);
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is in force before `install`"]
pub struct Builder {
    policies: Option<Source>,
    reports: Option<PathBuf>,
    #[cfg(feature = "prometheus")]
    prometheus: Option<String>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Text { name: String, text: String },
}

impl Builder {
    /// Nothing but the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads policies from a TOML file and watches it: a change is in force a second later, a broken file keeps the last good one.
    ///
    /// `BACKSTOP_CONFIG` names another file and wins.
    pub fn policies(mut self, file: impl Into<PathBuf>) -> Self {
        self.policies = Some(Source::File(file.into()));
        self
    }

    /// Takes policies from a text; `name` stands for the file in messages.
    pub fn policies_text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.policies = Some(Source::Text { name: name.into(), text: text.into() });
        self
    }

    /// Writes each incident as text and as JSON into this folder, which is made if it is missing; the newest hundred are kept.
    pub fn reports(mut self, folder: impl Into<PathBuf>) -> Self {
        self.reports = Some(folder.into());
        self
    }

    /// Serves `/metrics` at this address, such as `127.0.0.1:9464`, from a thread of its own; port 0 takes a free one.
    #[cfg(feature = "prometheus")]
    pub fn prometheus(mut self, address: impl Into<String>) -> Self {
        self.prometheus = Some(address.into());
        self
    }

    /// Puts everything in force, or nothing.
    ///
    /// # Errors
    ///
    /// If the policies have mistakes, the report folder cannot be made, the address is taken, or another metrics recorder is installed.
    pub fn install(self) -> Result<Backstop, InstallError> {
        let policies = self.read_policies()?;
        if let Some(folder) = &self.reports {
            std::fs::create_dir_all(folder).map_err(|error| InstallError::Reports { folder: folder.clone(), error })?;
        }
        #[cfg(feature = "prometheus")]
        let server = self.prometheus.as_deref().map(|address| serve(address, &policies)).transpose()?;
        if let Some(folder) = self.reports {
            incident::store_in(folder);
        }
        policy::install(policies);
        incident::start();
        Ok(Backstop {
            #[cfg(feature = "prometheus")]
            server,
        })
    }
}

impl Builder {
    fn read_policies(&self) -> Result<policy::PolicySet, InstallError> {
        todo!()
    }
}
