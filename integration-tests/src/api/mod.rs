//! The exchange's interface, called over the socket. All of these may be sent again: the exchange counts nothing twice.

mod client;
mod wire;

pub use client::Client;
pub use wire::{Account, Listing, Order, Orders, Position, Quote, Quotes, Receipt, Refusal};

use backstop::timeout_async;

use crate::TradingError;

/// What is traded, and when.
///
/// # Errors
/// [`TradingError`] if the exchange does not answer in time, or not with a listing.
#[timeout_async(secs = 30, retry = 3)]
pub async fn fetch_market(client: &Client) -> Result<Listing, TradingError> {
    client.get("/v1/market").await
}

/// A page of the history, from a bar on; empty at the opening bar.
///
/// # Errors
/// [`TradingError`] if the exchange does not answer in time, or not with quotes.
#[timeout_async(secs = 30, retry = 3)]
pub async fn fetch_history(client: &Client, from: usize) -> Result<Vec<Quotes>, TradingError> {
    client.get(&format!("/v1/history/{from}")).await
}

/// The quotes of a bar; asking for the next bar moves the market on. Falls back to [`cached_quotes`].
///
/// # Errors
/// [`TradingError`] if no quotes were ever seen and the exchange gives none.
#[timeout_async(secs = 30, retry = 3, fallback = cached_quotes)]
pub async fn fetch_quotes(client: &Client, bar: usize) -> Result<Quotes, TradingError> {
    let quotes: Quotes = client.get(&format!("/v1/quotes/{bar}")).await?;
    client.remember(&quotes);
    Ok(quotes)
}

/// The last quotes seen, marked as stale: whoever trades on them must wait for fresh ones.
///
/// # Errors
/// The given error, if no quotes were ever seen.
pub fn cached_quotes(client: &Client, bar: usize, error: TradingError) -> Result<Quotes, TradingError> {
    match client.latest() {
        Some(quotes) => {
            tracing::warn!(target: "trading::api", bar, from_bar = quotes.bar, %error, "old quotes instead of new ones");
            Ok(quotes)
        }
        None => Err(error),
    }
}

/// Sends what was decided on a bar, to be filled at the next bar's open.
///
/// # Errors
/// [`TradingError`] if the exchange does not answer in time, or refuses the orders.
#[timeout_async(secs = 30, retry = 3)]
pub async fn send_orders(client: &Client, bar: usize, orders: &Orders) -> Result<Receipt, TradingError> {
    let path = format!("/v1/orders/{bar}");
    let body = serde_json::to_vec(orders).map_err(|source| TradingError::Answer { request: format!("PUT {path}"), source })?;
    client.put(&path, body).await
}

/// The account after the last bar served.
///
/// # Errors
/// [`TradingError`] if the exchange does not answer in time, or not with an account.
#[timeout_async(secs = 30, retry = 3)]
pub async fn fetch_account(client: &Client) -> Result<Account, TradingError> {
    client.get("/v1/account").await
}
