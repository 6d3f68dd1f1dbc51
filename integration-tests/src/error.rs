//! What can go wrong in the trading system.

use std::error::Error;
use std::fmt;

use backstop::TimeoutError;
use tch::TchError;

use crate::market::MarketError;

/// A failure of the trading system.
#[derive(Debug)]
#[non_exhaustive]
pub enum TradingError {
    /// A guarded call did not finish in time, or was not let in.
    Timeout(TimeoutError),
    /// libtorch refused an operation.
    Tensor(TchError),
    /// The price file is broken.
    Market(MarketError),
    /// The exchange could not be reached, or the connection broke.
    Connection {
        /// What was asked, e.g. `GET /v1/quotes/7`.
        request: String,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The exchange answered, but not with success.
    Refused {
        /// What was asked.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The exchange's reason.
        reason: String,
    },
    /// The exchange's answer is not what its interface promises.
    Answer {
        /// What was asked.
        request: String,
        /// What is wrong with the answer.
        source: serde_json::Error,
    },
    /// The settings of a run contradict the data.
    Setup(String),
}

impl TradingError {
    /// Whether a limit passed, as opposed to a refusal or a broken answer.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}

impl fmt::Display for TradingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(error) => error.fmt(f),
            // libtorch appends its C++ frames; the first line says what happened.
            Self::Tensor(error) => f.write_str(error.to_string().lines().next().unwrap_or("libtorch failed without a message")),
            Self::Market(error) => error.fmt(f),
            Self::Connection { request, source } => write!(f, "{request}: no answer from the exchange: {source}"),
            Self::Refused { request, status, reason } => write!(f, "{request}: the exchange answered {status}: {reason}"),
            Self::Answer { request, source } => write!(f, "{request}: the exchange's answer cannot be read: {source}"),
            Self::Setup(problem) => f.write_str(problem),
        }
    }
}

impl Error for TradingError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Timeout(error) => Some(error),
            Self::Tensor(error) => Some(error),
            Self::Market(error) => Some(error),
            Self::Connection { source, .. } => Some(&**source),
            Self::Answer { source, .. } => Some(source),
            Self::Refused { .. } | Self::Setup(_) => None,
        }
    }
}

impl From<TimeoutError> for TradingError {
    fn from(error: TimeoutError) -> Self {
        Self::Timeout(error)
    }
}

impl From<TchError> for TradingError {
    fn from(error: TchError) -> Self {
        Self::Tensor(error)
    }
}

impl From<MarketError> for TradingError {
    fn from(error: MarketError) -> Self {
        Self::Market(error)
    }
}
