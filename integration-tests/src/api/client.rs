//! The connection to the exchange: one request, one answer, nothing about time limits.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use super::wire::{Quotes, Refusal};
use crate::TradingError;

/// More than a page of history needs.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// A client of one exchange. Clones share their connections and the last quotes.
#[derive(Clone, Debug)]
pub struct Client {
    exchange: SocketAddr,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    latest: Arc<Mutex<Option<Quotes>>>,
}

impl Client {
    /// A client of the exchange at this address; it connects on the first request.
    #[must_use]
    pub fn new(exchange: SocketAddr) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { exchange, http, latest: Arc::default() }
    }

    /// The last quotes that arrived, marked as stale.
    #[must_use]
    pub fn latest(&self) -> Option<Quotes> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.clone().map(|quotes| Quotes { stale: true, ..quotes })
    }

    pub(super) fn remember(&self, quotes: &Quotes) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(quotes.clone());
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, TradingError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, TradingError> {
        self.ask(Method::PUT, path, Bytes::from(body)).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, TradingError> {
        let asked = || format!("{method} {path}");
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| TradingError::Connection { request: asked(), source };
        let uri = format!("http://{}{path}", self.exchange);
        let request = Request::builder().method(&method).uri(uri).body(Full::new(body)).map_err(|error| broken(error.into()))?;
        let answer = self.http.request(request).await.map_err(|error| broken(error.into()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_BODY).collect().await.map_err(broken)?.to_bytes();
        if status != StatusCode::OK {
            let reason = serde_json::from_slice::<Refusal>(&body).map_or_else(|_| "no reason given".to_owned(), |refusal| refusal.reason);
            return Err(TradingError::Refused { request: asked(), status: status.as_u16(), reason });
        }
        serde_json::from_slice(&body).map_err(|source| TradingError::Answer { request: asked(), source })
    }
}
