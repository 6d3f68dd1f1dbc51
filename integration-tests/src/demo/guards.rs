//! Puts backstop to work for the demo: policies, reports, metrics.

use std::path::PathBuf;

use backstop::{Backstop, Builder, InstallError};

/// The demo's policies; edits are in force a second later.
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/backstop.toml");
/// Where reports go, below the working directory.
const REPORTS: &str = "backstop-reports";
/// Where metrics are served, if it is free.
const METRICS: &str = "127.0.0.1:9464";

/// Backstop at work, and where its reports lie.
#[derive(Debug)]
pub(super) struct Guards {
    pub(super) backstop: Backstop,
    pub(super) reports: PathBuf,
}

/// Puts everything in force, and says where metrics and reports are.
pub(super) fn install() -> Result<Guards, InstallError> {
    let reports = std::env::current_dir().unwrap_or_default().join(REPORTS);
    let builder = |address: &str| policies(Builder::new()).reports(&reports).prometheus(address);
    let backstop = match builder(METRICS).install() {
        Err(InstallError::Serve(taken)) => {
            tracing::info!(target: "trading::demo", "{taken}: a free port serves instead");
            builder("127.0.0.1:0").install()?
        }
        installed => installed?,
    };
    if let Some(address) = backstop.metrics_address() {
        tracing::info!(target: "trading::demo", "metrics: http://{address}/metrics");
    }
    tracing::info!(target: "trading::demo", "incident reports: {}", reports.display());
    Ok(Guards { backstop, reports })
}

/// Where no function is annotated, policies would name functions that do not exist.
fn policies(builder: Builder) -> Builder {
    if backstop::sites().is_empty() {
        tracing::warn!(target: "trading::demo", "built with `disable-decorators`: no function is guarded, no policy applies");
        return builder;
    }
    builder.policies(POLICIES)
}
