//! An exchange that stays silent for whole bars: the desk waits for fresh quotes and never trades on old ones.
#![cfg(not(feature = "disable-decorators"))]

use backstop::Builder;
use trading::session::{Setup, progress, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bar_without_fresh_quotes_is_asked_for_again_and_changes_no_number() {
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/silent_exchange.toml");
    let _backstop = Builder::new().policies(policies).install().expect("the policies are in force");
    let (line, _supervisor) = progress();
    let setup = Setup { history: 400, bars: 60, rounds: 10, ..Setup::default() };
    let report = run(&setup, &line).await.expect("the run survives the silence");
    let stats = backstop::stats();
    let row = stats.iter().find(|row| row.name == "trading::api::fetch_quotes").expect("an annotated function");
    assert!(row.fallbacks >= 1, "old quotes were never used: {row:?}");
    assert_eq!(report.curve.points().len(), 60);
    // As in `trading_session`.
    assert!((report.curve.last() - 94_884.64).abs() < 1.0, "{}", report.curve.last());
}
