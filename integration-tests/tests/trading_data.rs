//! The data pipeline: the price file, cleaning, splits, batches; and the bundled prices as a regression test.

use tch::{Device, Tensor};
use trading::TradingError;
use trading::api::{Quote, Quotes};
use trading::data_preprocessing::{batches, clean, numbers, split, table};
use trading::feature_engineering::market_states;
use trading::market::{Market, MarketError};

const HEADER: &str = "Ticker,Date,Open,High,Low,Close,Volume,Adj Close\n";

fn refusal(rows: &str) -> MarketError {
    match Market::read(format!("{HEADER}{rows}").as_bytes()) {
        Err(TradingError::Market(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_malformed_row_is_refused_with_its_line_and_column() {
    let good = "A,2000-03-01,2,3,1,2,10,2\n";
    let cases = [
        ("A,2000-03-02,x,3,1,2,10,2", Some("Open"), "`x` is no price"),
        ("A,2000-03-02,2,-3,1,2,10,2", Some("High"), "above zero"),
        ("A,2000-03-02,2,3,NaN,2,10,2", Some("Low"), "above zero"),
        ("A,2000-03-02,2,3,1,0,10,2", Some("Close"), "above zero"),
        ("A,2000-03-02,2,3,1,2,10.5,2", Some("Volume"), "whole number"),
        ("A,2000-03-02,2,3,1,2,10,", Some("Adj Close"), "above zero"),
        ("A,2000-13-02,2,3,1,2,10,2", Some("Date"), "YYYY-MM-DD"),
        ("A,02.03.2000,2,3,1,2,10,2", Some("Date"), "YYYY-MM-DD"),
        ("A,2000-03-01,2,3,1,2,10,2", Some("Date"), "does not come after 2000-03-01"),
        ("A,2000-03-02,9,3,1,2,10,2", Some("Open"), "outside of the day's range"),
        (",2000-03-02,2,3,1,2,10,2", Some("Ticker"), "is empty"),
        ("A,2000-03-02,2,3,1,2,10", None, "7 fields, expected 8"),
        ("A,2000-03-02,2,3,1,2,10,2,5", None, "9 fields, expected 8"),
    ];
    for (row, column, problem) in cases {
        let error = refusal(&format!("{good}{row}\n"));
        assert_eq!((error.line(), error.column()), (Some(3), column), "{row}");
        let text = error.to_string();
        assert!(text.contains("line 3") && text.contains(problem), "{text}");
    }
}

#[test]
fn a_wrong_header_and_an_empty_file_are_refused() {
    let error = Market::read("Date,Ticker\n".as_bytes()).unwrap_err().to_string();
    assert!(error.contains("line 1") && error.contains("Ticker,Date,Open"), "{error}");
    assert!(refusal("").to_string().contains("no bar in it"));
}

#[test]
fn symbols_with_different_days_are_refused() {
    let rows = "A,2000-03-01,2,3,1,2,10,2\nA,2000-03-02,2,3,1,2,10,2\nB,2000-03-01,2,3,1,2,10,2\nB,2000-03-03,2,3,1,2,10,2\n";
    assert!(refusal(rows).to_string().contains("A has 2000-03-02 where B has 2000-03-03"));
}

#[test]
fn the_bundled_prices_are_four_symbols_over_the_days_they_share() {
    let market = Market::bundled().unwrap();
    assert_eq!(market.symbols(), ["AAPL", "GOOG", "IBM", "MSFT"]);
    assert_eq!(market.len(), 2148);
    assert_eq!(market.day(0).unwrap()[1].date, "2004-08-19");
    assert_eq!(market.day(2147).unwrap()[0].close, 430.47);
    assert_eq!(market.day(2148), None);
    assert_eq!(market.last(10).day(9), market.day(2147));
}

fn quote(prices: [f64; 5], volume: u64) -> Quote {
    let [open, high, low, close, adjusted_close] = prices;
    Quote { symbol: "A".to_owned(), open, high, low, close, volume, adjusted_close }
}

fn bar(bar: usize, quote: Quote) -> Quotes {
    Quotes { bar, date: format!("2000-03-{:02}", bar + 1), quotes: vec![quote], stale: false }
}

#[test]
fn cleaning_adjusts_prices_and_keeps_volume() {
    let raw = table(&[bar(0, quote([2.0, 4.0, 1.0, 2.0, 1.0], 70))]).unwrap();
    assert_eq!(numbers(&clean(&raw).unwrap()).unwrap(), [1.0, 2.0, 0.5, 1.0, 70.0]);
}

#[test]
fn a_bar_without_good_prices_repeats_the_one_before() {
    let good = quote([2.0, 2.0, 2.0, 2.0, 2.0], 5);
    let bars = [
        bar(0, good.clone()),
        bar(1, quote([f64::NAN, 3.0, 3.0, 3.0, 3.0], 6)),
        bar(2, quote([3.0, 3.0, 3.0, 0.0, 3.0], 7)),
        bar(3, quote([4.0, 4.0, 4.0, 4.0, 4.0], 8)),
    ];
    let cleaned = numbers(&clean(&table(&bars).unwrap()).unwrap()).unwrap();
    let rows: Vec<&[f32]> = cleaned.chunks(5).collect();
    assert_eq!(rows, [[2.0, 2.0, 2.0, 2.0, 5.0], [2.0, 2.0, 2.0, 2.0, 5.0], [2.0, 2.0, 2.0, 2.0, 5.0], [4.0, 4.0, 4.0, 4.0, 8.0]]);
}

#[test]
fn a_split_by_time_shares_no_bar_and_loses_none() {
    let rows = Tensor::from_slice(&[0.0_f32, 1.0, 2.0, 3.0, 4.0]).unsqueeze(1);
    let parts = split(&rows, 0.8).unwrap();
    assert_eq!(numbers(&parts.training).unwrap(), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(numbers(&parts.held_out).unwrap(), [4.0]);
    assert!(split(&rows, 1.0).is_err());
    assert!(split(&rows, 0.1).is_err());
}

#[test]
fn batches_are_whole_and_in_order() {
    let rows = Tensor::from_slice(&[0.0_f32, 1.0, 2.0, 3.0, 4.0]);
    let pieces: Vec<Vec<f32>> = batches(&rows, 2).unwrap().iter().map(|piece| numbers(piece).unwrap()).collect();
    assert_eq!(pieces, [[0.0, 1.0], [2.0, 3.0]]);
    assert!(batches(&rows, 0).is_err());
}

#[test]
fn bars_with_different_symbols_make_no_table() {
    let two = Quotes { quotes: vec![quote([1.0; 5], 1), quote([1.0; 5], 1)], ..bar(0, quote([1.0; 5], 1)) };
    assert!(table(&[two, bar(1, quote([1.0; 5], 1))]).is_err());
}

/// Recorded on 2026-11-22; the tolerance is for other processors, whose sums round differently.
#[test]
fn the_pipeline_over_the_bundled_prices_gives_the_recorded_numbers() {
    let market = Market::bundled().unwrap().last(300);
    let bars: Vec<Quotes> = (0..market.len())
        .map(|number| {
            let day = market.day(number).unwrap();
            let quotes = day.iter().map(|day| quote([day.open, day.high, day.low, day.close, day.adjusted_close], day.volume));
            Quotes { bar: number, date: day[0].date.clone(), quotes: quotes.collect(), stale: false }
        })
        .collect();
    let cleaned = clean(&table(&bars).unwrap()).unwrap();
    let seen = market_states(&cleaned).unwrap();
    let mean = |tensor: &Tensor| f64::try_from(tensor.to_device(Device::Cpu).mean(tch::Kind::Float)).unwrap();
    let found =
        [mean(&seen.returns) * 1e4, mean(&seen.states.abs()), mean(&seen.states.select(0, -1)), mean(&seen.states.narrow(2, 32, 3))];
    for (number, recorded) in found.iter().zip(RECORDED) {
        assert!((number - recorded).abs() < 1e-4 * recorded.abs(), "{found:?}, recorded {RECORDED:?}");
    }
}

const RECORDED: [f64; 4] = [4.670_471, 0.798_257, 0.016_633_9, 0.252_927];
