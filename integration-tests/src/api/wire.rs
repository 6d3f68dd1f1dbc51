//! The messages between the exchange and its clients, as JSON.

use serde::{Deserialize, Serialize};

use crate::market::{Bar, COLUMNS};

/// Answer to `GET /v1/market`: what is traded, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The symbols; quotes come in this order.
    pub symbols: Vec<String>,
    /// Bars from 0 to here (exclusive) are history and can be fetched at once.
    pub opens_at: usize,
    /// The number of bars in all; at this bar the market is closed.
    pub closes_at: usize,
}

/// One symbol in one bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// The symbol.
    pub symbol: String,
    /// The first price.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price.
    pub close: f64,
    /// Shares traded.
    pub volume: u64,
    /// The last price, adjusted for splits and dividends.
    pub adjusted_close: f64,
}

impl Quote {
    pub(crate) fn new(symbol: &str, bar: &Bar) -> Self {
        Self {
            symbol: symbol.to_owned(),
            open: bar.open,
            high: bar.high,
            low: bar.low,
            close: bar.close,
            volume: bar.volume,
            adjusted_close: bar.adjusted_close,
        }
    }

    /// As a row of a tensor: open, high, low, close, volume, adjusted close; float32, as all tensors here.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "tensors here are float32")]
    pub(crate) fn row(&self) -> [f32; COLUMNS] {
        [self.open, self.high, self.low, self.close, self.volume as f64, self.adjusted_close].map(|number| number as f32)
    }
}

/// All symbols in one bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quotes {
    /// The bar's number.
    pub bar: usize,
    /// Its day, `YYYY-MM-DD`; empty when the market is closed.
    pub date: String,
    /// One quote a symbol, in the order of [`Listing::symbols`]; empty when the market is closed.
    pub quotes: Vec<Quote>,
    /// Whether these are old quotes, returned because new ones could not be had. Never sent by the exchange.
    #[serde(skip)]
    pub stale: bool,
}

impl Quotes {
    /// Whether there are no more bars.
    #[must_use]
    pub fn market_closed(&self) -> bool {
        self.quotes.is_empty()
    }
}

/// Buys (above zero) or sells (below) a number of shares at the next bar's open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The symbol.
    pub symbol: String,
    /// Shares to buy; below zero: to sell.
    pub shares: i64,
}

/// Body of `PUT /v1/orders/{bar}`: everything that was decided on one bar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The orders; may be empty.
    pub orders: Vec<Order>,
}

/// Answer to `PUT /v1/orders/{bar}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The bar the orders were decided on.
    pub decided_at: usize,
    /// The bar at whose open they are filled.
    pub fills_at: usize,
    /// How many orders were taken.
    pub accepted: usize,
}

/// Shares of one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The symbol.
    pub symbol: String,
    /// Shares held.
    pub shares: i64,
}

/// Answer to `GET /v1/account`: the account after the last bar that was served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The last bar that was served; `None` before the first.
    pub bar: Option<usize>,
    /// Money that is not invested.
    pub cash: f64,
    /// One position a symbol, in the order of [`Listing::symbols`].
    pub positions: Vec<Position>,
    /// Cash and positions at the bar's close.
    pub equity: f64,
    /// Orders that were filled so far.
    pub fills: u64,
    /// Commission paid so far.
    pub commission: f64,
}

/// Body of an answer without success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The reason, for a person.
    pub reason: String,
}
