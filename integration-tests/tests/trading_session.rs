//! One whole run of the trading system as a regression test.

use trading::session::{Setup, progress, run};

fn small() -> Setup {
    Setup { history: 400, bars: 60, rounds: 10, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_trades_learns_and_reports_profit() {
    let (line, _supervisor) = progress();
    let started = std::time::Instant::now();
    let report = run(&small(), &line).await.expect("the run ends well");
    println!("{:?} {:x} {:x} {report:?}", started.elapsed(), report.weights, report.curve.checksum());
}
