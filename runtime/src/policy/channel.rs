//! Where notifications go, as the policy file declares it.

use std::path::PathBuf;
use std::sync::Arc;

use super::origin::Origin;

/// Where notifications go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Channel {
    /// The name in `notify = ["…"]`.
    pub name: Arc<str>,
    /// What it is, with what that needs.
    pub kind: ChannelKind,
    /// Where the policy file declares it.
    pub origin: Origin,
}

/// What a [`Channel`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelKind {
    /// An HTTP POST.
    Webhook {
        /// Where to: `http://` or `https://`.
        url: String,
        /// What the body looks like.
        format: WebhookFormat,
    },
    /// A program that gets the report on its standard input.
    Command {
        /// The program and its arguments; no shell.
        argv: Vec<String>,
    },
    /// Reports are appended to a file, one JSON object a line.
    File {
        /// The file; relative paths start at the working directory.
        path: PathBuf,
    },
    /// Reports go to `tracing`.
    Log,
}

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The list of alerts that Alertmanager's `/api/v2/alerts` takes.
    Alertmanager,
    /// The report's own JSON.
    Json,
}
