//! Daily prices of several shares, aligned by date. Knows nothing of who trades them.

mod file;

use std::io::Read;

pub use file::MarketError;

use crate::TradingError;

/// The columns of a [`Bar`] as a row of numbers, in this order: open, high, low, close, volume, adjusted close.
pub const COLUMNS: usize = 6;

/// One share on one trading day.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// The first price of the day, as it was quoted.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price.
    pub close: f64,
    /// Shares traded.
    pub volume: u64,
    /// The last price, adjusted for later splits and dividends.
    pub adjusted_close: f64,
}

impl Bar {
    /// The opening price in adjusted money: what the paper exchange fills at, so that a split does not look like a crash.
    #[must_use]
    pub fn adjusted_open(&self) -> f64 {
        self.open * self.adjusted_close / self.close
    }
}

/// Several shares over the same days.
#[derive(Clone, Debug, PartialEq)]
pub struct Market {
    symbols: Vec<String>,
    /// One row a day, one bar a symbol.
    days: Vec<Vec<Bar>>,
}

impl Market {
    /// The prices that come with this crate.
    ///
    /// # Errors
    /// Only if the file in `data/` was changed: see [`read`](Self::read).
    pub fn bundled() -> Result<Self, TradingError> {
        let packed: &[u8] = include_bytes!("../../data/stocks.csv.gz");
        Self::read(flate2::read::GzDecoder::new(packed))
    }

    /// Reads prices in the layout of `data/stocks.csv.gz`, unpacked.
    ///
    /// Days on which a symbol was not traded yet are left out for all: a symbol whose listing would cost more than half of the days is
    /// left out itself.
    ///
    /// # Errors
    /// The first row that breaks a rule, with its line and column.
    pub fn read(csv: impl Read) -> Result<Self, TradingError> {
        let listings = file::listings(csv)?;
        Ok(align(listings)?)
    }

    /// The symbols, sorted.
    #[must_use]
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// How many days there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// Whether there is no day at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// The bars of a day, one a symbol in the order of [`symbols`](Self::symbols); `None` after the last day.
    #[must_use]
    pub fn day(&self, day: usize) -> Option<&[Bar]> {
        self.days.get(day).map(Vec::as_slice)
    }

    /// The last `days` days.
    #[must_use]
    pub fn last(&self, days: usize) -> Self {
        let from = self.days.len().saturating_sub(days);
        Self { symbols: self.symbols.clone(), days: self.days[from..].to_vec() }
    }
}

/// Keeps the symbols that cover at least half of the longest listing, and the days that all of these have.
fn align(mut listings: Vec<file::Listing>) -> Result<Market, MarketError> {
    listings.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    let longest = listings.iter().map(|listing| listing.bars.len()).max().unwrap_or(0);
    listings.retain(|listing| listing.bars.len() * 2 >= longest);
    let first_day = listings.iter().filter_map(|listing| listing.bars.first()).map(|bar| bar.date.clone()).max().unwrap_or_default();
    for listing in &mut listings {
        listing.bars.retain(|bar| bar.date >= first_day);
    }
    let symbols: Vec<String> = listings.iter().map(|listing| listing.symbol.clone()).collect();
    let count = listings.iter().map(|listing| listing.bars.len()).min().unwrap_or(0);
    let mut days = Vec::with_capacity(count);
    for day in 0..count {
        let row: Vec<Bar> = listings.iter().map(|listing| listing.bars[day].clone()).collect();
        if let Some(odd) = row.iter().position(|bar| bar.date != row[0].date) {
            return Err(MarketError::days_differ(&symbols[0], &row[0].date, &symbols[odd], &row[odd].date));
        }
        days.push(row);
    }
    Ok(Market { symbols, days })
}
