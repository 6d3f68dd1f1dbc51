//! One whole run of the trading system as a regression test, and the same run on every device.

use std::time::Duration;

use tch::Device;
use trading::TradingError;
use trading::session::{Report, Setup, Stage, progress, run};

fn small() -> Setup {
    Setup { history: 400, bars: 60, rounds: 10, ..Setup::default() }
}

async fn finished(setup: &Setup) -> Report {
    let (line, _supervisor) = progress();
    run(setup, &line).await.expect("the run ends well")
}

/// What must be the same bit for bit.
fn bits(report: &Report) -> (u64, u64) {
    (report.curve.checksum(), report.weights)
}

/// Recorded on 2026-11-22; the tolerance is for other processors, whose sums round differently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_gives_the_recorded_profit() {
    let report = finished(&small()).await;
    let curve = &report.curve;
    assert_eq!((curve.points().len(), report.lessons, report.stopped), (60, 5, false));
    assert_eq!(curve.start(), 100_000.0);
    for (bar, recorded) in [(0, 100_000.0), (9, 100_250.10), (29, 99_767.57), (59, 94_884.64)] {
        let found = curve.points()[bar];
        assert!((found - recorded).abs() < 1.0, "equity after bar {bar} is {found}, recorded {recorded}");
    }
    assert!((curve.deepest_fall() - 0.059_688).abs() < 1e-4, "{}", curve.deepest_fall());
    assert!((f64::from(report.held_out_reward) + 0.172_355).abs() < 1e-4, "{}", report.held_out_reward);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_gives_the_same_bits_whatever_the_pace() {
    let slow = Setup { lasts: Duration::from_secs(1), look_every: Duration::from_millis(5), ..small() };
    let (quick, slow) = (finished(&small()).await, finished(&slow).await);
    assert_eq!(bits(&quick), bits(&slow));
    assert!(slow.health.looks > 10 && slow.health.failures == 0, "{:?}", slow.health);
    assert_eq!(quick.curve, slow.curve);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_seed_gives_another_run() {
    let other = Setup { seed: 8, ..small() };
    assert_ne!(bits(&finished(&small()).await), bits(&finished(&other).await));
}

#[tokio::test]
async fn one_thread_decides_as_two() {
    let alone = finished(&small()).await;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let two = tokio::task::spawn_blocking(move || runtime.block_on(finished(&small()))).await.unwrap();
    assert_eq!(bits(&alone), bits(&two));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulated_device_gives_the_bits_of_the_cpu() {
    let Ok(_orders) = sim_mps::Orders::take() else { return println!("skipped: no simulated device on this platform") };
    let device = finished(&Setup { device: Device::Mps, ..small() }).await;
    assert!(sim_mps::counts().dispatched > 10_000, "the run was not on the device");
    assert_eq!(bits(&device), bits(&finished(&small()).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_run_ends_at_the_next_bar_with_what_it_has() {
    let (line, supervisor) = progress();
    let mut status = supervisor.status.clone();
    let setup = Setup { lasts: Duration::from_secs(600), ..small() };
    let stop = async {
        status.wait_for(|status| matches!(status.stage, Stage::Trading { bar: 1.., .. })).await.unwrap();
        supervisor.stop();
    };
    let both = async { tokio::join!(run(&setup, &line), stop).0 };
    let report = tokio::time::timeout(Duration::from_secs(20), both).await.expect("it stops at once").unwrap();
    assert!(report.stopped && !report.curve.points().is_empty() && report.curve.points().len() < 60);
}

#[tokio::test]
async fn a_setup_that_does_not_fit_the_data_is_refused() {
    let (line, _supervisor) = progress();
    for setup in [Setup { history: 10, ..small() }, Setup { bars: 0, ..small() }, Setup { history: 2148, ..small() }] {
        let error = run(&setup, &line).await.unwrap_err();
        assert!(matches!(error, TradingError::Setup(_)), "{error}");
        assert!(error.to_string().contains("at least 120 and 1, and 2148 in all"), "{error}");
    }
}
