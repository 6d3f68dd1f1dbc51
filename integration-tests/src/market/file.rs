//! Reads the price file: strict rows, and an error that says which line and column is wrong.

use std::error::Error;
use std::fmt;
use std::io::Read;

use csv::StringRecord;

use super::Bar;

/// The header of the price file.
const HEADER: [&str; 8] = ["Ticker", "Date", "Open", "High", "Low", "Close", "Volume", "Adj Close"];

/// Why a price file was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketError {
    line: Option<u64>,
    column: Option<&'static str>,
    problem: String,
}

impl MarketError {
    fn row(line: u64, problem: impl Into<String>) -> Self {
        Self { line: Some(line), column: None, problem: problem.into() }
    }

    fn field(line: u64, column: &'static str, problem: impl Into<String>) -> Self {
        Self { line: Some(line), column: Some(column), problem: problem.into() }
    }

    pub(super) fn days_differ(symbol: &str, date: &str, other: &str, other_date: &str) -> Self {
        let problem = format!("the symbols must share their days: {symbol} has {date} where {other} has {other_date}");
        Self { line: None, column: None, problem }
    }

    /// The line of the file, from 1; `None` where no single line is to blame.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// The column's heading, where one field is to blame.
    #[must_use]
    pub fn column(&self) -> Option<&'static str> {
        self.column
    }
}

impl fmt::Display for MarketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("price file")?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl Error for MarketError {}

/// All bars of one symbol, oldest first.
pub(super) struct Listing {
    pub(super) symbol: String,
    pub(super) bars: Vec<Bar>,
}

/// Reads every row; rows of one symbol stand together.
pub(super) fn listings(csv: impl Read) -> Result<Vec<Listing>, MarketError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv);
    let mut record = StringRecord::new();
    let mut listings: Vec<Listing> = Vec::new();
    let mut first = true;
    while reader.read_record(&mut record).map_err(|error| unreadable(&error))? {
        let line = record.position().map_or(0, csv::Position::line);
        if first {
            header(line, &record)?;
            first = false;
            continue;
        }
        append(&mut listings, line, &record)?;
    }
    if listings.is_empty() {
        return Err(MarketError { line: None, column: None, problem: "no bar in it; expected a header and at least one row".to_owned() });
    }
    Ok(listings)
}

fn unreadable(error: &csv::Error) -> MarketError {
    let line = error.position().map(csv::Position::line);
    MarketError { line, column: None, problem: format!("cannot be read: {error}") }
}

fn header(line: u64, record: &StringRecord) -> Result<(), MarketError> {
    if record.iter().eq(HEADER) {
        return Ok(());
    }
    let found: Vec<&str> = record.iter().collect();
    Err(MarketError::row(line, format!("the header is `{}`, expected `{}`", found.join(","), HEADER.join(","))))
}

fn append(listings: &mut Vec<Listing>, line: u64, record: &StringRecord) -> Result<(), MarketError> {
    if record.len() != HEADER.len() {
        return Err(MarketError::row(line, format!("{} fields, expected {}", record.len(), HEADER.len())));
    }
    let symbol = &record[0];
    if symbol.is_empty() {
        return Err(MarketError::field(line, "Ticker", "is empty, expected a symbol such as `IBM`"));
    }
    let bar = bar(line, record)?;
    match listings.iter_mut().find(|listing| listing.symbol == symbol) {
        Some(listing) => {
            in_order(line, listing, &bar)?;
            listing.bars.push(bar);
        }
        None => listings.push(Listing { symbol: symbol.to_owned(), bars: vec![bar] }),
    }
    Ok(())
}

fn in_order(line: u64, listing: &Listing, bar: &Bar) -> Result<(), MarketError> {
    match listing.bars.last() {
        Some(last) if last.date >= bar.date => {
            let problem = format!("`{}` does not come after {}, the day before it of {}", bar.date, last.date, listing.symbol);
            Err(MarketError::field(line, "Date", problem))
        }
        _ => Ok(()),
    }
}

fn bar(line: u64, record: &StringRecord) -> Result<Bar, MarketError> {
    let bar = Bar {
        date: date(line, &record[1])?,
        open: price(line, HEADER[2], &record[2])?,
        high: price(line, HEADER[3], &record[3])?,
        low: price(line, HEADER[4], &record[4])?,
        close: price(line, HEADER[5], &record[5])?,
        volume: volume(line, &record[6])?,
        adjusted_close: price(line, HEADER[7], &record[7])?,
    };
    within_the_day(line, &bar)?;
    Ok(bar)
}

fn within_the_day(line: u64, bar: &Bar) -> Result<(), MarketError> {
    for (column, price) in [(HEADER[2], bar.open), (HEADER[5], bar.close)] {
        if price < bar.low || price > bar.high {
            let problem = format!("{price} is outside of the day's range from {} to {}", bar.low, bar.high);
            return Err(MarketError::field(line, column, problem));
        }
    }
    Ok(())
}

fn date(line: u64, text: &str) -> Result<String, MarketError> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10 && bytes.iter().enumerate().all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() });
    let within = |from: usize, most: u8| text[from..from + 2].parse::<u8>().is_ok_and(|number| (1..=most).contains(&number));
    if shaped && within(5, 12) && within(8, 31) {
        return Ok(text.to_owned());
    }
    Err(MarketError::field(line, "Date", format!("`{text}` is no day, expected `YYYY-MM-DD`")))
}

fn price(line: u64, column: &'static str, text: &str) -> Result<f64, MarketError> {
    match text.parse::<f64>() {
        Ok(price) if price.is_finite() && price > 0.0 => Ok(price),
        _ => Err(MarketError::field(line, column, format!("`{text}` is no price, expected a number above zero"))),
    }
}

fn volume(line: u64, text: &str) -> Result<u64, MarketError> {
    text.parse().map_err(|_| MarketError::field(line, "Volume", format!("`{text}` is no volume, expected a whole number of shares")))
}
