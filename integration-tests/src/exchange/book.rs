//! The paper order book: one account, market orders that fill at the next bar's open. Knows nothing of HTTP.

use std::collections::HashMap;

use crate::api::{Account, Listing, Order, Orders, Position, Quote, Quotes, Receipt};
use crate::market::Market;

/// What a fill costs, as a part of the traded amount: 5 basis points.
pub const COMMISSION: f64 = 0.0005;

/// Why the book refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such bar, or not yet: bars are served in order.
    NotServed(String),
    /// The request contradicts what was decided or served before.
    Conflict(String),
}

/// The market and one account in it. Every request may be repeated without a second effect.
#[derive(Debug)]
pub struct Book {
    market: Market,
    opens_at: usize,
    /// The last bar that was served.
    bar: Option<usize>,
    cash: f64,
    /// Shares, in the order of the market's symbols.
    shares: Vec<i64>,
    decided: HashMap<usize, Orders>,
    fills: u64,
    commission: f64,
}

impl Book {
    /// A market whose bars before `opens_at` are history, and an account with this much money.
    #[must_use]
    pub fn new(market: Market, opens_at: usize, cash: f64) -> Self {
        let shares = vec![0; market.symbols().len()];
        Self { market, opens_at, bar: None, cash, shares, decided: HashMap::new(), fills: 0, commission: 0.0 }
    }

    /// What is traded, and when.
    #[must_use]
    pub fn listing(&self) -> Listing {
        Listing { symbols: self.market.symbols().to_vec(), opens_at: self.opens_at, closes_at: self.market.len() }
    }

    /// Up to `most` bars of the history from `from` on.
    #[must_use]
    pub fn history(&self, from: usize, most: usize) -> Vec<Quotes> {
        (from..self.opens_at.min(from.saturating_add(most))).filter_map(|bar| self.quotes_of(bar)).collect()
    }

    /// The quotes of a bar. Asking for the bar after the last one served moves the market on, and fills what was ordered there.
    ///
    /// # Errors
    /// [`Refused::NotServed`] for a bar that has not come yet, or that is history.
    pub fn quotes(&mut self, bar: usize) -> Result<Quotes, Refused> {
        let next = self.bar.map_or(self.opens_at, |last| last + 1);
        if bar > next || bar < self.opens_at {
            let reason = format!("bar {bar} cannot be had: the market opens at bar {} and the next bar is {next}", self.opens_at);
            return Err(Refused::NotServed(reason));
        }
        let Some(quotes) = self.quotes_of(bar) else {
            return Ok(Quotes { bar, date: String::new(), quotes: Vec::new(), stale: false });
        };
        if bar == next {
            self.bar = Some(bar);
            self.fill(bar);
        }
        Ok(quotes)
    }

    /// Takes the orders that were decided on the last bar served.
    ///
    /// # Errors
    /// [`Refused::Conflict`] if that bar is not the last one served, or other orders were taken for it, or a symbol is not listed.
    pub fn order(&mut self, bar: usize, orders: Orders) -> Result<Receipt, Refused> {
        let receipt = Receipt { decided_at: bar, fills_at: bar + 1, accepted: orders.orders.len() };
        if let Some(taken) = self.decided.get(&bar) {
            return if *taken == orders { Ok(receipt) } else { Err(Refused::Conflict(format!("other orders were taken for bar {bar}"))) };
        }
        if self.bar != Some(bar) {
            let reason = format!("orders for bar {bar} come at the wrong time: the last bar served is {:?}", self.bar);
            return Err(Refused::Conflict(reason));
        }
        if let Some(order) = orders.orders.iter().find(|order| self.index(&order.symbol).is_none()) {
            return Err(Refused::Conflict(format!("`{}` is not listed here", order.symbol)));
        }
        self.decided.insert(bar, orders);
        Ok(receipt)
    }

    /// The account after the last bar served.
    #[must_use]
    pub fn account(&self) -> Account {
        let symbols = self.market.symbols();
        let positions = symbols.iter().zip(&self.shares).map(|(symbol, shares)| Position { symbol: symbol.clone(), shares: *shares });
        Account {
            bar: self.bar,
            cash: self.cash,
            positions: positions.collect(),
            equity: self.equity(),
            fills: self.fills,
            commission: self.commission,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no account here holds 2^52 shares")]
    fn equity(&self) -> f64 {
        let Some(day) = self.bar.and_then(|bar| self.market.day(bar)) else { return self.cash };
        self.cash + day.iter().zip(&self.shares).map(|(bar, shares)| bar.adjusted_close * *shares as f64).sum::<f64>()
    }

    fn index(&self, symbol: &str) -> Option<usize> {
        self.market.symbols().iter().position(|listed| listed == symbol)
    }

    fn quotes_of(&self, bar: usize) -> Option<Quotes> {
        let day = self.market.day(bar)?;
        let quotes = self.market.symbols().iter().zip(day).map(|(symbol, bar)| Quote::new(symbol, bar)).collect();
        Some(Quotes { bar, date: day.first()?.date.clone(), quotes, stale: false })
    }

    /// Fills at this bar's open what was decided on the bar before: sales first, so that their money can buy.
    fn fill(&mut self, bar: usize) {
        let Some(before) = bar.checked_sub(1) else { return };
        let Some(Orders { mut orders }) = self.decided.get(&before).cloned() else { return };
        orders.sort_by_key(|order| order.shares);
        for order in orders {
            self.fill_one(bar, &order);
        }
    }

    /// A sale is cut down to the shares held, a purchase to what the cash pays for.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "no order here has 2^52 shares")]
    fn fill_one(&mut self, bar: usize, order: &Order) {
        let (Some(index), Some(day)) = (self.index(&order.symbol), self.market.day(bar)) else { return };
        let price = day[index].adjusted_open();
        let affordable = (self.cash / (price * (1.0 + COMMISSION))).floor() as i64;
        let shares = order.shares.clamp(-self.shares[index], affordable.max(0));
        if shares == 0 {
            return;
        }
        let amount = price * shares as f64;
        let commission = amount.abs() * COMMISSION;
        self.cash -= amount + commission;
        self.shares[index] += shares;
        self.commission += commission;
        self.fills += 1;
    }
}
