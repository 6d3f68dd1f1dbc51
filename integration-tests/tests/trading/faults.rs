//! Runs of the trading system with trouble: their numbers are those of a run without any.
#![cfg(not(feature = "disable-decorators"))]

use std::sync::OnceLock;

use backstop::{Backstop, Builder, FunctionStats};
use sim_mps::Orders;
use tch::Device;
use trading::session::{Report, Setup, progress, run};

fn small(device: Device) -> Setup {
    Setup { history: 150, bars: 12, rounds: 2, device, ..Setup::default() }
}

async fn finished(setup: &Setup) -> Report {
    let (line, _supervisor) = progress();
    run(setup, &line).await.expect("the run survives its faults")
}

async fn bits(device: Device) -> (u64, u64) {
    let report = finished(&small(device)).await;
    (report.curve.checksum(), report.weights)
}

/// The device's orders, or `None` with a reason printed. From now on every call tries the device first, however often it failed.
fn orders() -> Option<Orders> {
    static INSTALLED: OnceLock<Backstop> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/always_try_the_device.toml");
        Builder::new().policies(policies).install().expect("the policies are in force")
    });
    let orders = Orders::take();
    if orders.is_err() {
        println!("skipped: no simulated device on this platform");
    }
    orders.ok()
}

fn to_cpu() -> u64 {
    backstop::stats().iter().map(|row: &FunctionStats| row.device_fallbacks).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_that_the_device_lacks_change_no_bit() {
    let Some(device) = orders() else { return };
    let (wanted, before) = (bits(Device::Cpu).await, to_cpu());
    for operator in ["aten::addmm", "aten::tanh_backward", "aten::gather", "aten::mm", "aten::std"] {
        device.reset();
        device.unimplemented(operator).unwrap();
        assert_eq!(bits(Device::Mps).await, wanted, "without {operator}");
        assert!(sim_mps::counts().raised > 0, "{operator} is not used");
    }
    assert!(to_cpu() > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_short_of_memory_changes_no_bit() {
    let Some(device) = orders() else { return };
    let wanted = bits(Device::Cpu).await;
    for bytes in [0, 3_000, 20_000] {
        device.reset();
        device.out_of_memory_after(bytes);
        assert_eq!(bits(Device::Mps).await, wanted, "with {bytes} bytes");
        assert!(sim_mps::counts().raised > 0, "{bytes} bytes are enough");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_now_and_then_change_no_bit() {
    let Some(device) = orders() else { return };
    let wanted = bits(Device::Cpu).await;
    for every in [101, 997] {
        device.reset();
        device.fail_every(every, &sim_mps::text::kernel_build());
        assert_eq!(bits(Device::Mps).await, wanted, "one fault in {every} operators");
        assert!(sim_mps::counts().raised > 0, "no operator failed");
    }
}
