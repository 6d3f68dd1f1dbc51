//! The Prometheus recorder: installed once for the process, rendered as text.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{buckets, names};

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder. `longest` is the longest that limits let a call last: the buckets of `backstop_call_duration_seconds` go beyond it.
///
/// # Errors
///
/// When the application has installed a recorder of its own.
pub(crate) fn install(longest: Option<Duration>) -> Result<(), ExporterError> {
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let handle = builder(longest)?.install_recorder().map_err(|error| ExporterError(error.to_string()))?;
    let _ = HANDLE.set(handle);
    super::flush();
    Ok(())
}

/// Only the buckets of this library's own histogram are set: the application's metrics keep theirs.
pub(super) fn builder(longest: Option<Duration>) -> Result<PrometheusBuilder, ExporterError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(names::DURATION.to_owned()), &buckets::reaching(longest))
        .map_err(|error| ExporterError(error.to_string()))
}

/// Everything that was counted until now, in Prometheus' text format; empty without a recorder.
pub(crate) fn render() -> String {
    super::flush();
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Folds recorded durations into their buckets; without it they pile up until the next scrape.
pub(crate) fn fold() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

/// The Prometheus recorder could not be installed.
#[derive(Debug)]
pub struct ExporterError(String);

impl fmt::Display for ExporterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot install the Prometheus recorder: {}; where the application has a recorder of its own, leave out \
             `Builder::prometheus`: Backstop's metrics go to that recorder",
            self.0
        )
    }
}

impl Error for ExporterError {}
