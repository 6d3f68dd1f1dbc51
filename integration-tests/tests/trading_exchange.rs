//! The paper exchange, over its socket.

use trading::TradingError;
use trading::api::{self, Client, Order, Orders};
use trading::exchange::Exchange;
use trading::market::Market;

const OPENS_AT: usize = 20;
const CASH: f64 = 10_000.0;

fn open() -> (Exchange, Client, Market) {
    let market = Market::bundled().unwrap().last(OPENS_AT + 5);
    let exchange = Exchange::open(market.clone(), OPENS_AT, CASH).unwrap();
    let client = Client::new(exchange.address());
    (exchange, client, market)
}

fn buy(symbol: &str, shares: i64) -> Orders {
    Orders { orders: vec![Order { symbol: symbol.to_owned(), shares }] }
}

fn status(error: TradingError) -> u16 {
    match error {
        TradingError::Refused { status, .. } => status,
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test]
async fn an_order_fills_at_the_next_bars_open_and_not_before() {
    let (_exchange, client, market) = open();
    api::fetch_quotes(&client, OPENS_AT).await.unwrap();
    let receipt = api::send_orders(&client, OPENS_AT, &buy("IBM", 10)).await.unwrap();
    assert_eq!((receipt.decided_at, receipt.fills_at), (OPENS_AT, OPENS_AT + 1));
    let before = api::fetch_account(&client).await.unwrap();
    assert_eq!((before.cash, before.fills, before.equity), (CASH, 0, CASH));

    api::fetch_quotes(&client, OPENS_AT + 1).await.unwrap();
    let after = api::fetch_account(&client).await.unwrap();
    let ibm = &market.day(OPENS_AT + 1).unwrap()[2];
    let paid = 10.0 * ibm.adjusted_open();
    assert_eq!((after.fills, after.positions[2].shares), (1, 10));
    assert!((after.commission - paid * 0.0005).abs() < 1e-9);
    assert!((after.cash - (CASH - paid - after.commission)).abs() < 1e-6);
    assert!((after.equity - (after.cash + 10.0 * ibm.adjusted_close)).abs() < 1e-6);
}

#[tokio::test]
async fn every_request_may_be_sent_again_without_a_second_effect() {
    let (_exchange, client, _) = open();
    let first = api::fetch_quotes(&client, OPENS_AT).await.unwrap();
    assert_eq!(api::fetch_quotes(&client, OPENS_AT).await.unwrap(), first);
    let receipt = api::send_orders(&client, OPENS_AT, &buy("MSFT", 3)).await.unwrap();
    assert_eq!(api::send_orders(&client, OPENS_AT, &buy("MSFT", 3)).await.unwrap(), receipt);
    api::fetch_quotes(&client, OPENS_AT + 1).await.unwrap();
    api::fetch_quotes(&client, OPENS_AT + 1).await.unwrap();
    let account = api::fetch_account(&client).await.unwrap();
    assert_eq!((account.fills, account.positions[3].shares), (1, 3));
}

#[tokio::test]
async fn bars_come_in_order_and_orders_at_their_time() {
    let (_exchange, client, _) = open();
    assert_eq!(status(api::fetch_quotes(&client, OPENS_AT + 1).await.unwrap_err()), 404);
    assert_eq!(status(api::send_orders(&client, OPENS_AT, &buy("IBM", 1)).await.unwrap_err()), 409);
    api::fetch_quotes(&client, OPENS_AT).await.unwrap();
    api::send_orders(&client, OPENS_AT, &buy("IBM", 1)).await.unwrap();
    assert_eq!(status(api::send_orders(&client, OPENS_AT, &buy("IBM", 2)).await.unwrap_err()), 409);
    api::fetch_quotes(&client, OPENS_AT + 1).await.unwrap();
    assert_eq!(status(api::send_orders(&client, OPENS_AT + 1, &buy("XYZ", 2)).await.unwrap_err()), 409);
}

#[tokio::test]
async fn a_purchase_is_cut_to_the_cash_and_a_sale_to_the_shares() {
    let (_exchange, client, market) = open();
    api::fetch_quotes(&client, OPENS_AT).await.unwrap();
    api::send_orders(&client, OPENS_AT, &buy("MSFT", 1_000_000)).await.unwrap();
    api::fetch_quotes(&client, OPENS_AT + 1).await.unwrap();
    let rich = api::fetch_account(&client).await.unwrap();
    let price = market.day(OPENS_AT + 1).unwrap()[3].adjusted_open();
    assert!(rich.cash >= 0.0 && rich.cash < price * 1.0005, "{rich:?}");
    api::send_orders(&client, OPENS_AT + 1, &buy("MSFT", -2_000_000)).await.unwrap();
    api::fetch_quotes(&client, OPENS_AT + 2).await.unwrap();
    let sold = api::fetch_account(&client).await.unwrap();
    assert_eq!((sold.positions[3].shares, sold.fills), (0, 2));
    assert_eq!(sold.equity, sold.cash);
}

#[tokio::test]
async fn the_history_comes_in_pages_and_shows_nothing_of_the_future() {
    let market = Market::bundled().unwrap().last(600);
    let exchange = Exchange::open(market, 590, CASH).unwrap();
    let client = Client::new(exchange.address());
    let listing = api::fetch_market(&client).await.unwrap();
    assert_eq!((listing.symbols.len(), listing.opens_at, listing.closes_at), (4, 590, 600));
    assert_eq!(api::fetch_history(&client, 0).await.unwrap().len(), 250);
    let last = api::fetch_history(&client, 500).await.unwrap();
    assert_eq!((last.len(), last[89].bar), (90, 589));
    assert!(api::fetch_history(&client, 590).await.unwrap().is_empty());
}

#[tokio::test]
async fn after_the_last_bar_the_market_is_closed() {
    let (_exchange, client, market) = open();
    for bar in OPENS_AT..market.len() {
        assert!(!api::fetch_quotes(&client, bar).await.unwrap().market_closed());
    }
    assert!(api::fetch_quotes(&client, market.len()).await.unwrap().market_closed());
}

#[tokio::test]
async fn a_closed_exchange_is_an_error_that_names_the_request() {
    let (exchange, client, _) = open();
    drop(exchange);
    let error = api::fetch_account(&client).await.unwrap_err().to_string();
    assert!(error.contains("GET /v1/account"), "{error}");
}

#[test]
fn an_exchange_must_open_within_its_market() {
    let market = Market::bundled().unwrap().last(10);
    let error = Exchange::open(market, 10, CASH).unwrap_err().to_string();
    assert!(error.contains("opens at bar 10") && error.contains("only 10 bars"), "{error}");
}
