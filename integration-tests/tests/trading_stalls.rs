//! Stalls injected through policies: the run goes on, and its numbers are those of a run without them.
#![cfg(not(feature = "disable-decorators"))]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use backstop::inject::{Rule, scope};
use backstop::{Backstop, Builder, FunctionStats, IncidentKind};
use trading::TradingError;
use trading::api::{self, Client};
use trading::exchange::Exchange;
use trading::market::Market;
use trading::session::{Setup, progress, run};

fn installed() -> &'static Backstop {
    static INSTALLED: OnceLock<Backstop> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/stalled_exchange.toml");
        Builder::new().policies(policies).install().expect("the policies are in force")
    })
}

fn row(function: &str) -> FunctionStats {
    backstop::stats().into_iter().find(|row| row.name == function).expect("an annotated function")
}

fn reported(function: &str, kind: IncidentKind) -> bool {
    installed().flush(Duration::from_secs(5));
    backstop::incidents().iter().any(|incident| incident.function == function && incident.kind == kind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_stalls_and_a_blocked_thread_gives_the_recorded_profit() {
    installed();
    let (line, _supervisor) = progress();
    let setup = Setup { history: 400, bars: 60, rounds: 10, ..Setup::default() };
    let report = run(&setup, &line).await.expect("the run survives the stalls");
    // As in `trading_session`.
    assert!((report.curve.last() - 94_884.64).abs() < 1.0, "{}", report.curve.last());
    assert!(row("trading::api::fetch_quotes").retries >= 2);
    assert!(row("trading::api::send_orders").retries >= 1);
    assert!(row("trading::api::fetch_account").blocked_polls >= 1);
    assert!(reported("trading::api::fetch_quotes", IncidentKind::Limit));
    assert!(reported("trading::api::fetch_account", IncidentKind::Blocked));
}

fn open() -> (Exchange, Client) {
    let exchange = Exchange::open(Market::bundled().unwrap().last(25), 20, 1_000.0).unwrap();
    let client = Client::new(exchange.address());
    (exchange, client)
}

fn always_stalled() -> Vec<Rule> {
    Rule::parse("trading::api::fetch_quotes=stall").unwrap()
}

#[tokio::test]
async fn an_exchange_that_stays_silent_gives_old_quotes_marked_as_stale() {
    installed();
    let (_exchange, client) = open();
    let fresh = api::fetch_quotes(&client, 20).await.unwrap();
    let started = Instant::now();
    let old = scope(always_stalled(), api::fetch_quotes(&client, 21)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(4 * 400), "not every attempt had its time");
    assert!(old.stale && !fresh.stale);
    assert_eq!((old.bar, &old.quotes), (20, &fresh.quotes));
    let next = api::fetch_quotes(&client, 21).await.unwrap();
    assert_eq!((next.bar, next.stale), (21, false));
}

#[tokio::test]
async fn without_old_quotes_the_timeout_reaches_the_caller() {
    installed();
    let (_exchange, client) = open();
    let error = scope(always_stalled(), api::fetch_quotes(&client, 20)).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let TradingError::Timeout(timeout) = error else { panic!("no timeout") };
    assert_eq!((timeout.function(), timeout.attempt(), timeout.attempts()), ("trading::api::fetch_quotes", 4, 4));
    assert_eq!(timeout.limit(), Duration::from_millis(400));
    assert!(timeout.to_string().contains("stalled_exchange.toml:3"), "{timeout}");
}
